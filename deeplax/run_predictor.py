"""A run's `Predictor`, from the run's folder and what is asked for."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deeplax import config as config_lib
from deeplax import inference, models, refinement
from deeplax import workdir as workdir_lib
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.local_mesh import local_mesh
from deeplax.predictor import Predictor, evaluation_padding, evaluation_size


class RunPredictor(NamedTuple):
  """What `load` gives.

  Attributes:
    predictor: Compiled once for each shape.
    info: The classes.
    step: Of the checkpoint.
  """

  predictor: Predictor
  info: DatasetInfo
  step: int


def load(
  workdir: str | os.PathLike,
  *,
  step: int | None = None,
  output_stride: int | None = None,
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  window: tuple[int, int] | None = None,
  full_size: bool = False,
  spatial: int | None = None,
  crf: bool | None = None,
  crf_options: Mapping[str, Any] | None = None,
) -> RunPredictor:
  """Reads a checkpoint and builds the network; compiles nothing.

  Args:
    workdir: Of a run.
    step: Of a checkpoint; default: the best, or the newest.
    output_stride: Default: `config.model.output_stride`.
    scales, flip, window: See `inference.predict_logits`.
    full_size: Leaves out a resize in `config.input.eval`.
    spatial: Devices that share the rows of a picture; default: that of the
      config, where the devices here allow it.
    crf: Whether predictions go through the CRF; default: `config.crf.use`.
    crf_options: What to change of `config.crf`.

  Raises:
    RunError: No run, or an option that can't be.
  """
  config, info, variables, step = workdir_lib.load_run(workdir, step=step)
  given = refinement.options(config, crf, **(crf_options or {}))
  mesh = local_mesh(config, spatial, pictures=1)
  options = config_lib.model_options(config)
  if output_stride is not None:
    options['output_stride'] = output_stride
  try:
    scales = inference.check_scales(scales)
    model = models.build(config_lib.num_outputs(config, info), **options)
  except ValueError as error:
    raise RunError(str(error)) from error
  predictor = Predictor(
    model,
    variables,
    info,
    resize_to=None if full_size else evaluation_size(config.input.eval),
    padding=evaluation_padding(config.input.eval),
    scales=scales,
    flip=flip,
    **config_lib.resampling(config),
    window=window,
    crf=given,
    mesh=mesh,
  )
  return RunPredictor(predictor, info, step)
