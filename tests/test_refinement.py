"""The CRF behind a network: options, evaluation, prediction, search."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from configs import common, v1_vgg16, v2_r101
from deeplax import (
  config,
  crf,
  crf_search,
  evaluate,
  evaluate_run,
  evaluation_table,
  inference,
  losses,
  refinement,
  sharding,
)
from deeplax.errors import ConfigError, RunError, UserError
from deeplax.predictor import Predictor
from tests.test_evaluate import INFO, Net, Source, variables
from tests.test_run_commands import launch, run  # noqa: F401

SMALL = dict(num_iterations=2, spatial=(2.0, 3.0), bilateral=(8.0, 20.0, 4.0))


def test_options_of_the_papers():
  for module, preset in ((v1_vgg16, crf.DEEPLAB_V1), (v2_r101, crf.DEEPLAB_V2)):
    found = refinement.options(module.get_config())
    assert {k: found[k] for k in preset} == dict(preset)
  base = common.base()
  assert refinement.options(base) is None
  assert refinement.options(base, True)['bilateral'] == (67, 3, 4)
  assert refinement.options(v1_vgg16.get_config(), False) is None
  changed = refinement.options(base, True, num_iterations=3, spatial=())
  assert changed['num_iterations'] == 3 and changed['spatial'] == (1, 3)
  del base.crf  # as in runs made before there was one
  assert refinement.options(base) is None
  assert refinement.options(base, True)['spatial'] == (1, 3)


def test_bad_parameters_are_refused_before_anything_is_trained():
  with pytest.raises(UserError, match='bilateral'):
    refinement.options(common.base(), True, bilateral=(1.0, 0.0, 3.0))
  bad = common.base()
  bad.crf.method = 'fast'
  with pytest.raises(ConfigError, match="'fast'"):
    config.validate_model(bad)
  bad = common.base()
  bad.crf.spatial = (1.0,)
  with pytest.raises(ConfigError, match='spatial'):
    config.validate_model(bad)


def test_padding_is_no_part_of_the_picture():
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (9, 12, 3), np.uint8)
  label = rng.integers(0, 3, (9, 12)).astype(np.uint8)
  label[-1] = 255  # void, but of the picture
  probs = rng.dirichlet(np.ones(3), (9, 12)).astype(np.float32)
  alone = refinement.refine_labelled(image, label, probs, SMALL)
  np.testing.assert_allclose(alone, crf.dense_crf(image, probs, **SMALL))

  wide = np.full((16, 16, 3), (124, 116, 104), np.uint8)
  wide[:9, :12] = image
  void = np.full((16, 16), 255, np.uint8)
  void[:9, :12] = label
  more = np.full((16, 16, 3), 1 / 3, np.float32)
  more[:9, :12] = probs
  padded = refinement.refine_labelled(wide, void, more, SMALL)
  np.testing.assert_allclose(padded[:9, :12], alone, atol=1e-6)
  assert (padded[9:] == np.float32(1 / 3)).all()


def test_image_of_another_size_is_scaled():
  probs = np.full((8, 6, 2), 0.5, np.float32)
  image = np.zeros((16, 12, 3), np.uint8)
  assert refinement.refine(image, probs, SMALL).shape == (8, 6, 2)


def evaluator(source, **options):
  mesh = sharding.make_mesh(data=2)
  return evaluate.Evaluator(
    Net(),
    source,
    INFO,
    mesh=mesh,
    batch_size=2,
    loss_fn=losses.cross_entropy,
    **options,
  )


def test_evaluation_scores_before_and_after():
  source, net = Source(), Net()
  plain = evaluator(source)(variables(net))
  assert plain.refined is None
  both = evaluator(source, crf=SMALL)(variables(net))
  assert both.scalars == pytest.approx(plain.scalars, nan_ok=True)
  # By hand, from the network's own probabilities.
  confusion = np.zeros((3, 3), int)
  for i in range(len(source)):
    image, label = source[i]['image'], source[i]['label']
    probs = inference.predict_probs(
      lambda x: net.apply(variables(net), x, train=False)[0], image[None]
    )
    q = crf.dense_crf(image, np.asarray(jax.device_get(probs))[0], **SMALL)
    pred = np.argmax(q, -1)
    np.add.at(confusion, (label[label < 3], pred[label < 3]), 1)
  np.testing.assert_array_equal(both.refined.confusion, confusion)
  assert (both.refined.confusion != both.confusion).any()
  assert np.isfinite(both.refined.scalars['val/loss'])
  words = evaluation_table.miou(both, 'val')
  assert 'before' in words and 'after' in words


def test_objects_are_scored_after_the_crf_too():
  source = Source(instances=True)
  found = evaluator(source, crf=SMALL)(variables(Net()))
  name = 'val/iiou/person'
  assert found.refined.scalars[name] != found.scalars[name]


def test_prediction_goes_through_the_crf():
  net, image = Net(), Source()[0]['image']
  plain = Predictor(net, variables(net), INFO)(image)
  refined = Predictor(net, variables(net), INFO, crf=SMALL)(image)
  assert refined.dtype == np.uint8 and refined.shape == plain.shape
  assert (refined != plain).any()
  nothing = dict(SMALL, num_iterations=0)
  np.testing.assert_array_equal(
    Predictor(net, variables(net), INFO, crf=nothing)(image), plain
  )


def test_evaluate_prints_and_stores_both(run, capsys):  # noqa: F811
  evaluate_run.evaluate_run(
    run, max_pictures=2, crf=True, crf_options={'num_iterations': 1}
  )
  text = capsys.readouterr().out
  assert '--crf_iterations=1' in text and '% after' in text
  (path,) = (run / 'evaluation').glob('*-crf.json')
  stored = json.loads(path.read_text())
  assert stored['crf']['num_iterations'] == 1
  assert stored['refined']['confusion'] != stored['confusion']


def test_search_prints_flags_that_predict_takes(
  run,  # noqa: F811
  tmp_path,
  capsys,
):
  results = crf_search.crf_search(
    run, max_pictures=1, crf_options={'num_iterations': 1, 'method': 'grid'}
  )
  text = capsys.readouterr().out
  mious = [miou for miou, _ in results]
  assert mious == sorted(mious, reverse=True)
  assert len({t['bilateral'] for _, t in results}) == len(results) > 20
  flags = text.rpartition('Best: ')[2].split()
  picture = tmp_path / 'picture.png'
  Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(picture)
  done = launch(
    'predict.py', '--workdir', run, '--output', tmp_path, *flags, picture
  )
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'picture_overlay.png').is_file()


def test_what_a_search_does_not_go_with(run):  # noqa: F811
  with pytest.raises(RunError, match='one output stride'):
    crf_search.crf_search(run, output_strides=(8, 16))
  with pytest.raises(RunError, match='nocrf'):
    crf_search.crf_search(run, crf=False)


def test_bad_flags(run, tmp_path):  # noqa: F811
  picture = tmp_path / 'picture.png'
  Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(picture)
  flags = ('--crf_spatial=0,3', f'--output={tmp_path / "out"}')
  done = launch('predict.py', '--workdir', run, *flags, picture)
  assert done.returncode == 1 and 'spatial' in done.stderr
  assert not (tmp_path / 'out').exists()
