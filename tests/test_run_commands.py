"""launch/evaluate.py and launch/predict.py on a run, from its folder alone."""

import contextlib
import io
import json
import math
import os
import pathlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from configs import common, demo
from deeplax import (
  atomic,
  checkpoint,
  data,
  evaluate_run,
  models,
  optimizers,
  predict,
)
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.errors import RunError
from deeplax.predict_command import predict_command
from deeplax.state import create_state
from tests import videos

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """The folder of a run that was not trained; void is a class."""
  config = common.base()
  config.dataset.name = 'synthetic:64x96x8x3'
  config.input.train = 'random_crop(64, 96)'
  config.input.eval = 'resize_image(32, 48)'
  config.input.workers = 0
  config.input.eval_batch_size = 2
  config.model.variant = '18'
  config.model.head_channels = config.model.decoder_channels = 8
  config.loss.void_class = True
  config.loss.class_weights_from_data = True
  config.total_steps = 4
  info = data.info(config.dataset.name)
  workdir = tmp_path_factory.mktemp('run')
  workdir_lib.prepare(workdir, config, info)
  weights = np.linspace(1, 2, 20).tolist()
  atomic.write_json(workdir / 'class_weights.json', weights)
  model = models.build(20, **config_lib.model_options(config))
  variables = models.initialize(model, 0)
  schedule = optimizers.make_schedule(
    **config.schedule.to_dict(), total_steps=4
  )
  tx = optimizers.make_optimizer(
    schedule, **config_lib.optimizer_options(config)
  )
  checkpointer = checkpoint.Checkpointer(workdir / 'checkpoints')
  checkpointer.save(create_state(variables, tx, 0), 4)
  checkpointer.score(4, 0.1)
  checkpointer.close()
  return workdir


def launch(name, *args):
  environment = {**os.environ, 'XLA_FLAGS': '', 'JAX_PLATFORMS': 'cpu'}
  return subprocess.run(
    [sys.executable, str(ROOT / 'launch' / name), *map(str, args)],
    capture_output=True,
    text=True,
    env=environment,
    check=False,
  )


@pytest.fixture(scope='module')
def evaluated(run):
  """(evaluations at two strides, what was printed)."""
  text = io.StringIO()
  with contextlib.redirect_stdout(text):
    results = evaluate_run.evaluate_run(
      run, output_strides=(16, 32), batch_size=1
    )
  return results, text.getvalue()


def test_evaluate_run(run, evaluated):
  results, text = evaluated
  assert 'traffic light' in text and 'iIoU' in text and 'construction' in text
  assert 'output stride 16: mIoU' in text and 'output stride 32: mIoU' in text
  # Time and memory of one picture stand beside the score, for each stride.
  rows = re.findall(r'output stride \d+: mIoU .*, ([\d.]+) ms, (\d+) MiB', text)
  assert len(rows) == 2 and all(float(ms) > 0 for ms, _ in rows)
  assert 'what the course project printed' in text
  assert 'nan' not in text
  written = sorted(p.name for p in (run / 'evaluation').glob('*.json'))
  assert written == ['val-4-os16.json', 'val-4-os32.json']
  stored = json.loads((run / 'evaluation' / written[0]).read_text())
  assert stored['pictures'] == 3 and stored['step'] == 4
  assert np.array(stored['confusion']).shape == (19, 20)
  np.testing.assert_array_equal(stored['confusion'], results[0].confusion)
  for name, value in results[0].scalars.items():
    want = None if math.isnan(value) else value
    assert stored['scalars'][name] == want
  assert stored['scalars']['val/loss'] > 0
  assert stored['cost']['fastest'] <= stored['cost']['milliseconds']
  assert stored['cost']['milliseconds'] <= stored['cost']['slowest']
  # The report is of the last of them.
  assert text.count('Report: ') == 2 and 'boundary IoU' in text
  page = (run / 'report' / 'index.html').read_text()
  assert 'val-4-os32' in page and 'val-4-os16' not in page
  assert stored['measures']['distance']['pixels'][0] > 0
  # The score is taken at the size of the label.
  assert results[0].pictures[0]['pred'].shape == (64, 96)


def test_evaluate_run_with_rows_on_several_devices(run, evaluated, capsys):
  (result,) = evaluate_run.evaluate_run(run, batch_size=1, spatial=4)
  assert 'on each of 4 ' in capsys.readouterr().out
  want = evaluated[0][0]
  assert result.scalars['val/loss'] == pytest.approx(
    want.scalars['val/loss'], rel=1e-5
  )
  moved = np.abs(result.confusion - want.confusion).sum()
  assert moved <= 1e-3 * want.confusion.sum()  # near ties, in float32


def test_an_output_stride_that_can_not_be_is_said():
  config = demo.get_config()
  config.model.unlock()
  config.model.update(
    head='aspp_sum', decoder='none', atrous_rates=(3, 6), output_stride=8
  )
  info = data.info('synthetic', '')
  nets, impossible = evaluate_run.build_all(config, info, (8, 16, 32))
  assert [*nets] == [8, 16]
  assert '1.5' in impossible[32]
  with pytest.raises(ValueError, match=r'1\.5'):
    evaluate_run.build_all(config, info, (32,))
  with pytest.raises(ValueError, match='output_stride'):
    evaluate_run.build_all(config, info, (8, 7))


def test_evaluate_run_with_options(run):
  (result,) = evaluate_run.evaluate_run(
    run, scales=(0.5,), flip=True, max_pictures=1, split='test'
  )
  assert result.examples == 1
  name = 'test-4-os16-scales0.5-flip-first1.json'
  assert (run / 'evaluation' / name).exists()


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'output_strides': (7,)}, 'output_stride'),
    ({'step': 3}, 'no checkpoint 3'),
    ({'split': 'nothing'}, 'nothing'),
    ({'max_pictures': 0}, 'max_pictures'),
    ({'scales': (-1.0,)}, 'scales are'),
  ],
)
def test_evaluate_run_refuses(run, options, message):
  with pytest.raises((RunError, data.DataError), match=message):
    evaluate_run.evaluate_run(run, **options)


def test_other_classes_are_refused(run):
  info = data.info('synthetic')
  with pytest.raises(RunError, match='trained on'):
    evaluate_run.check_classes('camvid', str(run), info)


def test_commands(run, evaluated, tmp_path):
  pictures = tmp_path / 'in'
  pictures.mkdir()
  example = data.source('synthetic:64x96x8x3', 'val')[0]
  Image.fromarray(example['image']).save(pictures / 'a.png')
  Image.fromarray(example['image']).save(pictures / 'b.jpg')
  (pictures / 'c.png').write_text('torn')
  done = launch(
    'predict.py',
    *(f'--workdir={run}', f'--input={pictures}', f'--output={tmp_path}/out'),
    '--format=overlay,label_id',
  )
  assert done.returncode == 1, done.stderr
  assert 'c.png' in done.stderr and 'Traceback' not in done.stderr
  assert '1 pictures could not be used' in done.stderr
  assert re.search(
    r'4 files written.*\n2 pictures in [\d.]+ s, [\d.]+ a second from start to '
    r'end; shapes compiled: 1\n',
    done.stdout,
  )
  written = sorted(p.name for p in (tmp_path / 'out').iterdir())
  assert written == [
    *('a_label_id.png', 'a_overlay.png', 'b_label_id.png', 'b_overlay.png'),
    'classes_legend.png',
  ]
  # Prediction and evaluation say the same of a picture.
  (kept,) = (p for p in evaluated[0][0].pictures if p['id'] == example['id'])
  pred = np.asarray(Image.open(tmp_path / 'out' / 'a_label_id.png'))
  table = data.info('synthetic').train_to_label
  np.testing.assert_array_equal(pred, table[kept['pred']])


def test_errors_are_one_paragraph(run, tmp_path):
  done = launch('evaluate.py', f'--workdir={tmp_path}/nothing')
  assert done.returncode == 1 and 'Traceback' not in done.stderr
  assert 'is not the workdir of a run' in done.stderr.replace('\n', ' ')
  done = launch('evaluate.py', f'--workdir={run}', '--scales=1,x')
  assert done.returncode == 2 and 'numbers between commas' in done.stderr
  (tmp_path / 'empty').mkdir()
  with pytest.raises(RunError, match='no picture'):
    predict.predict_run(run, [str(tmp_path / 'empty')], tmp_path / 'out')


@pytest.fixture
def street(tmp_path):
  """A folder of three frames, and the same as a video."""
  (tmp_path / 'frames').mkdir()
  writer = cv2.VideoWriter(
    str(tmp_path / 'street.avi'),
    cv2.CAP_FFMPEG,
    cv2.VideoWriter.fourcc(*'FFV1'),
    10,
    (96, 64),
  )
  source = data.source('synthetic:64x96x8x3', 'val')
  for i in range(3):
    image = source[i]['image']
    Image.fromarray(image).save(tmp_path / 'frames' / f'{i}.png')
    writer.write(image[..., ::-1])
  writer.release()
  return tmp_path


def test_videos_from_the_command_line(run, street, capsys):
  """Prediction of a frame is that of the picture."""
  out = street / 'out'
  predict.predict_run(run, [str(street / 'frames')], out, formats=['color'])
  common = dict(formats=None, fps=None, max_frames=None, view='side_by_side')
  for inputs, output, target in (
    ('frames', 'a.avi', 'a.avi'),
    ('street.avi', 'videos', 'videos/street.mp4'),
  ):
    code = predict_command(
      str(run), [str(street / inputs)], str(street / output), **common
    )
    assert code == 0
    said = capsys.readouterr().out
    assert f'{target}: 3 frames, ' in said and 'network alone' in said
    frames, fps = videos.read(street / target)
    assert (len(frames), fps) == (3, 20 if inputs == 'frames' else 10)
    for i, frame in enumerate(frames):
      zoom = frame.shape[1] // (2 * 96)
      right = frame[: 64 * zoom : zoom, 96 * zoom :: zoom]
      colours = np.asarray(Image.open(out / f'{i}_color.png'))
      assert np.abs(right.astype(int) - colours).mean() < 12


def test_a_bad_video_does_not_stop_the_others(run, street, capsys, caplog):
  (street / 'bad.mp4').write_text('no video')
  (street / 'taken.avi').write_bytes((street / 'street.avi').read_bytes())
  (street / 'out' / 'taken.mp4').mkdir(parents=True)
  names = ('bad.mp4', 'taken.avi', 'street.avi')
  inputs = [str(street / name) for name in names]
  code = predict_command(
    str(run),
    inputs,
    str(street / 'out'),
    **dict(formats=None, view=None, fps=25, max_frames=2),
  )
  assert code == 1
  skipped = [r.getMessage() for r in caplog.records if r.name == 'deeplax']
  assert len(skipped) == 2 and 'bad.mp4: no video' in skipped[0]
  assert 'a folder of that name' in skipped[1]
  assert '2 inputs or frames' in capsys.readouterr().err
  frames, fps = videos.read(street / 'out' / 'street.mp4')
  assert (len(frames), fps) == (2, 25)
  there = sorted(p.name for p in (street / 'out').iterdir())
  assert there == ['street.mp4', 'taken.mp4']


@pytest.mark.parametrize(
  'output, options, words',
  [
    ('a.mp4', {'formats': ['color']}, '--format=color is for pictures'),
    ('out', {'view': 'overlay'}, '--view: for videos'),
    ('out', {'fps': 3.0, 'max_frames': 1}, '--fps, --max_frames: for videos'),
    ('a.mp4', {'view': 'both'}, 'overlay, side_by_side'),
    ('a.mp4', {'fps': 0.0}, '--fps=0: expected a number above 0'),
    ('a.mp4', {'fps': math.nan}, '--fps=nan'),
    ('a.mp4', {'batch_size': 0}, 'batch_size'),
  ],
)
def test_flags_of_the_other_kind_are_refused(
  run, street, output, options, words
):
  none = dict.fromkeys(('formats', 'view', 'fps', 'max_frames'))
  with pytest.raises(RunError, match=words):
    predict_command(
      str(run),
      [str(street / 'frames')],
      str(street / output),
      **{**none, **options},
    )
  assert not (street / output).exists()


def test_a_submission_from_the_command_line(run, street):
  folder = street / 'leftImg8bit' / 'val' / 'ulm'
  folder.mkdir(parents=True)
  for i in range(3):
    name = f'ulm_000000_00000{i}_leftImg8bit.png'
    (street / 'frames' / f'{i}.png').rename(folder / name)
  code = predict_command(
    str(run),
    [str(street / 'leftImg8bit')],
    str(street / 'out'),
    formats=['submission'],
    **dict.fromkeys(('view', 'fps', 'max_frames')),
  )
  assert code == 0
  assert (street / 'out' / 'submission.zip').is_file()
