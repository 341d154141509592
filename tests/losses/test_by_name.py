"""Losses by name."""

import pytest

from deeplax import losses


def test_every_module_builds_one():
  assert 'cross_entropy' in losses.available()
  loss = losses.build('cross_entropy', label_smoothing=0.1, hard_pixels=0.5)
  assert (loss.label_smoothing, loss.hard_pixels) == (0.1, 0.5)


def test_what_is_not_there():
  with pytest.raises(ValueError, match=r"no loss 'hinge'.*cross_entropy"):
    losses.build('hinge')


def test_keys_that_a_loss_does_not_know_must_change_nothing(
  tmp_path, monkeypatch
):
  (tmp_path / 'squared.py').write_text('def build(class_weights=None): ...')
  monkeypatch.setattr(losses, '__path__', [*losses.__path__, str(tmp_path)])
  losses.build('squared', class_weights=(1.0, 2.0), hard_pixels=1.0)
  with pytest.raises(ValueError, match=r'no hard_pixels, which is 0.5.*class_'):
    losses.build('squared', hard_pixels=0.5)
