"""How fast a network predicts: pictures in, labels at their size out."""

from typing import Any

import jax
import ml_collections

from deeplax import config as config_lib
from deeplax import cost, models
from deeplax.benchmark.program import Program, compile_step, measure
from deeplax.benchmark.subject import Subject, prepare


def benchmark_eval(
  config: ml_collections.ConfigDict | None = None,
  *,
  size: tuple[int, int] | None = None,
  batch_size: int | None = None,
  peer: str | None = None,
  profile: bool = False,
  repeats: int = 20,
) -> dict[str, Any]:
  """Pictures a second of the compiled prediction, on one device.

  Of both sides: uint8 pictures that are on the device already, uint8 labels at
  their size that stay there; upsampling and argmax are part of it.

  Args:
    config, size, peer, profile, repeats: As of `train.benchmark_train`.
    batch_size: Pictures at once; the config's by default.

  Returns:
    As `train.benchmark_train`.

  Raises:
    ConfigError, RunError, DataError: See `subject.prepare`.
  """
  if config is not None:
    config = ml_collections.ConfigDict(config)
    config.mesh.update(data=1, spatial=1)
    config.optimizer.accumulate = 1  # concerns training only
  keys = dict(size=size, batch_size=batch_size, peer=peer)
  subject = prepare(config, **keys)
  program = _program(subject)
  result = measure(
    subject, program, peer=peer, repeats=repeats, profiled=profile
  )
  return {'what': 'eval', **result}


def _program(subject: Subject) -> Program:
  """The prediction that `launch/evaluate.py` and `predict.py` make."""
  predict = jax.jit(
    cost.predictor(
      subject.model, subject.size, **config_lib.resampling(subject.config)
    )
  )
  variables, image = jax.device_put(
    (
      models.initialize(subject.model, subject.config.seed),
      subject.batch['image'],
    ),
    jax.local_devices()[0],
  )
  compiled, seconds = compile_step(predict, variables, image)
  return Program(
    lambda: compiled(variables, image),
    compiled,
    seconds,
    devices=1,
    training=False,
  )
