"""--check=overfit: what fits, what does not, and the reasons given."""

import hashlib
import json

import cv2
import numpy as np
import pytest

from deeplax import checks, data
from deeplax.checks import overfit, trial, verdict
from deeplax.data import DataError, pipeline
from deeplax.errors import ConfigError
from tests.checks import small_network as small
from tests.checks.looking import is_in


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
  small.use(monkeypatch)


def state_of(folder):
  return {
    path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in folder.rglob('*')
    if path.is_file() and 'checks' not in path.parts
  }


def check(config, workdir):
  """(exit code, what is printed, the JSON)."""
  told = []
  code = checks.run(
    'overfit', config, workdir, lambda result: told.append(str(result))
  )
  figures = json.loads((workdir / 'checks' / 'overfit.json').read_text())
  return code, told[0], figures


def test_a_batch_is_learnt_and_a_run_is_left_alone(tmp_path):
  root = small.write(tmp_path / 'mine')
  workdir = tmp_path / 'run'
  (workdir / 'checkpoints' / '7').mkdir(parents=True)
  (workdir / 'config.json').write_text('{"of": "another run"}')
  before = state_of(workdir)
  config = small.config(root)
  code, text, figures = check(config, workdir)
  assert code == 0 and 'It fits' in text
  assert figures['fits'] and figures['pixels_right'] > 0.98
  losses = figures['losses']
  assert len(losses) < 60  # it stops when it fits
  assert max(losses[-3:]) <= 0.2 * figures['loss_of_guessing'] < losses[0]
  assert losses[-4] > 0.2 * figures['loss_of_guessing']
  assert f'step    1  loss {losses[0]:.4f}' in text
  assert f'step {len(losses):>4}  loss {losses[-1]:.4f}' in text
  assert state_of(workdir) == before
  names = sorted(p.name for p in (workdir / 'checks').iterdir())
  assert names == ['overfit.json', 'overfit.png']
  picture = cv2.imread(str(workdir / 'checks' / 'overfit.png'))[..., ::-1]
  # The pictures of the first training step are in it, as they were.
  with pipeline.train_batches(
    data.source('folder', 'train', root),
    ops=config.input.train,
    batch_size=4,
    seed=0,
  ) as batches:
    batch = next(batches)
  for image in batch['image']:
    assert is_in(image, picture)


def test_noise_does_not_fit(tmp_path):
  root = small.write(
    tmp_path / 'mine',
    label=lambda mask, rng: rng.integers(0, 3, mask.shape, np.uint8),
  )
  code, text, figures = check(small.config(root), tmp_path / 'run')
  assert code == 1 and not figures['fits']
  assert 'does NOT fit: after 60 steps' in text
  assert 'labels that say nothing about their pictures' in text
  assert len(figures['losses']) == 60


def test_labels_that_are_all_void(tmp_path):
  root = small.write(
    tmp_path / 'mine', label=lambda mask, _: np.full_like(mask, 255)
  )
  code, text, figures = check(small.config(root), tmp_path / 'run')
  assert code == 1 and not figures['fits']
  assert 'not one pixel has a label' in text and 'void_id' in text
  assert not (tmp_path / 'run/checks/overfit.png').exists()


def test_one_class_only(tmp_path):
  root = small.write(
    tmp_path / 'mine', label=lambda mask, _: np.where(mask == 1, 1, 255)
  )
  code, text, _ = check(small.config(root), tmp_path / 'run')
  assert code == 1 and 'more than one class' in text


def test_a_rate_that_is_far_too_high(tmp_path):
  root = small.write(tmp_path / 'mine')
  config = small.config(root, **{'schedule.peak': 1e30, 'total_steps': 9})
  code, text, figures = check(config, tmp_path / 'run')
  assert code == 1
  assert 'is not finite' in text and 'schedule.peak=1e+29' in text
  assert all(x is None or np.isfinite(x) for x in figures['losses'])


def test_wrong_labels_and_configs_end_as_in_training(tmp_path):
  root = small.write(tmp_path / 'mine', label=lambda mask, _: mask + 7)
  with pytest.raises(DataError, match='can not be trained on'):
    check(small.config(root), tmp_path / 'run')
  with pytest.raises(ConfigError, match='freeze_bn'):
    check(small.config(root, **{'model.freeze_bn': True}), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def prepared(root, **changes):
  return trial.prepare(small.config(root, **changes), root / 'no run')


@pytest.mark.parametrize('normalize_by', ['pixels', 'weights'])
def test_guessing_is_the_best_constant_prediction(tmp_path, normalize_by):
  root = small.write(tmp_path / 'mine')
  ready = prepared(
    root,
    **{
      'loss.class_weights': (1.0, 2.0, 5.0),
      'loss.normalize_by': normalize_by,
    },
  )
  label = np.repeat(np.array([0, 1, 2, 255], np.uint8), [5, 3, 2, 6])
  batch = {
    'label': label.reshape(1, 4, 4),
    'image': np.zeros((1, 4, 4, 3), np.uint8),
    'valid': np.array([True]),
  }
  found = overfit.guessing(batch, ready)
  counts, weights = np.array([5, 3, 2]), np.array([1.0, 2.0, 5.0])
  share = counts * weights / (counts * weights).sum()

  def loss(q):
    total = counts.sum() if normalize_by == 'pixels' else counts @ weights
    return -(counts * weights) @ np.log(q) / total

  assert found == pytest.approx(loss(share), rel=1e-4)
  rng = np.random.default_rng(0)
  assert all(loss(q) > found for q in rng.dirichlet([9, 9, 9], 50))


def test_further_outputs_have_a_loss_of_their_own(tmp_path, monkeypatch):
  root = small.write(tmp_path / 'mine')
  ready = prepared(root)
  with ready.batches() as batches:
    batch = next(batches)
  plain = overfit.guessing(batch, ready)

  class More(small.Small):
    def __call__(self, x, *, train):
      logits, _ = super().__call__(x, train=train)
      return logits, {'auxiliary': logits, 'logits_x1': logits}

  more = ready._replace(model=More(3))
  assert overfit.guessing(batch, more) == pytest.approx(2.4 * plain, rel=1e-4)


def found(losses, guess=1.0, **changes):
  values = dict(fits=False, finite=True, right=0.5, void=0.0) | changes
  return verdict.Found(losses=losses, guess=guess, **values)


@pytest.mark.parametrize(
  'curve, changes, words',
  [
    (np.full(60, 1.1), {}, 'labels that say nothing'),
    (np.full(60, 1.1), {}, 'schedule.peak=1,'),
    (np.geomspace(2, 0.4, 60), {}, 'still falling'),
    (np.r_[np.geomspace(2, 0.4, 20), np.full(60, 0.4)], {}, 'shifted'),
    (np.r_[np.geomspace(1, 0.5, 20), np.geomspace(1, 9, 40)], {}, 'rose to'),
    ([1.0, np.nan], {'finite': False}, 'schedule.peak=0.01'),
    (np.full(60, 0.5), {'void': 0.9}, '90% of the pixels are void'),
  ],
)
def test_causes(curve, changes, words):
  config = small.config('mine')
  lines = '\n'.join(verdict.causes(found(np.array(curve), **changes), config))
  assert words in lines


def test_causes_in_the_config():
  config = small.config(
    'mine',
    **{
      'model.freeze_encoder_bn': True,
      'optimizer.encoder_lr_mult': 0.0,
      'batch_size': 1,
    },
  )
  lines = '\n'.join(verdict.causes(found(np.full(60, 0.5)), config))
  assert 'frozen' in lines and 'encoder_lr_mult' in lines
  assert 'over one picture' in lines


def test_the_verdict_is_about_guessing_and_not_about_zero():
  def words(end, fits):
    curve = np.geomspace(2, end, 60)
    config = small.config('mine')
    return '\n'.join(verdict.report(found(curve, fits=fits), config, 'x.png'))

  assert 'It fits: after 60 steps 50.0%' in words(0.15, True)
  assert 'It fits, but for fine detail: after' in words(0.3, True)
  assert 'does NOT fit' in words(0.4, False)
