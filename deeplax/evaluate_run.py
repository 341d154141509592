"""Evaluates the checkpoint of a run, at any stride and scales, in words."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
from jax.sharding import Mesh

from deeplax import config as config_lib
from deeplax import (
  cost,
  data,
  dry_run,
  evaluation_files,
  evaluation_table,
  inference,
  models,
  recipe,
  refinement,
  report,
)
from deeplax import workdir as workdir_lib
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError
from deeplax.evaluate import Evaluator
from deeplax.evaluation import Evaluation
from deeplax.local_mesh import local_mesh
from deeplax.models import atrous

log = logging.getLogger('deeplax')

# What is measured with the help of further arrays of the data.
_EXTRAS = {
  'instance': 'iIoU, the data has no instance ids',
  'disparity': 'IoU by distance',
  'camera': 'focal length of each picture',
}


def evaluate_run(
  workdir: str | os.PathLike,
  *,
  split: str | None = None,
  step: int | None = None,
  output_strides: Sequence[int] = (),
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  window: tuple[int, int] | None = None,
  data_dir: str | None = None,
  batch_size: int | None = None,
  max_pictures: int | None = None,
  workers: int | None = None,
  spatial: int | None = None,
  crf: bool | None = None,
  crf_options: Mapping[str, Any] | None = None,
) -> list[Evaluation]:
  """Evaluates a run's checkpoint, prints tables and writes the figures down.

  Writes `evaluation/<split>-<step>-<options>.json`, and beside it a folder of
  the same name with the worst pictures, and TensorBoard files where tensorflow
  is installed; and `report/index.html`, a page of the last evaluation.

  Args:
    workdir: Of a run.
    split: Default: `config.dataset.eval_split`.
    step: Of a checkpoint; default: the best by val mIoU, or the newest.
    output_strides: One evaluation each; default: `config.model.output_stride`.
    scales, flip, window: As in `inference.predict_logits`.
    data_dir: Default: `config.dataset.dir`.
    batch_size: Default: that of the config's evaluation.
    max_pictures: Only the first so many of the split.
    workers: Processes that read; default: `config.input.workers`.
    spatial: Devices that share the rows of a picture; default: that of the
      config, where the devices here allow it.
    crf: Whether predictions are scored after the CRF, too; default:
      `config.crf.use`.
    crf_options: What to change of `config.crf`.

  Of several strides those that the network can't have are left out, and said;
  for each the time and the memory of one picture are measured on this device.

  Returns:
    The evaluations, in the order of `output_strides`.

  Raises:
    RunError: No run, no such checkpoint, other classes, or bad options.
    DataError: Data missing or unusable.
  """
  workdir = pathlib.Path(workdir)
  config, info, variables, step = workdir_lib.load_run(workdir, step=step)
  split = split or config.dataset.eval_split
  strides = tuple(output_strides) or (config.model.output_stride,)
  try:
    scales = inference.check_scales(scales)
    nets, impossible = build_all(config, info, strides)
  except ValueError as error:
    raise RunError(str(error)) from error
  source = open_split(config, info, split, data_dir, max_pictures)
  mesh = local_mesh(config, spatial, pictures=len(source))
  given = refinement.options(config, crf, **(crf_options or {}))
  dry_run.ends_here(
    lambda: (
      f'{workdir}, step {step}: {len(source)} pictures of '
      f'{config.dataset.name} {split} at output stride '
      f'{", ".join(map(str, nets))}, on {mesh.size} devices. Figures would go '
      f'to {workdir}/evaluation and {workdir}/report.'
    )
  )
  weights = recipe.saved_class_weights(config, workdir)
  evaluations, costs = [], []
  views = dict(
    scales=scales,
    flip=flip,
    **config_lib.resampling(config),
    window=window,
  )
  for stride, model in nets.items():
    evaluator = Evaluator(
      model,
      source,
      info,
      mesh=mesh,
      batch_size=batch_size
      or config.input.eval_batch_size
      or config.batch_size,
      ops=config.input.eval,
      workers=config.input.workers if workers is None else workers,
      loss_fn=recipe.eval_loss(config, weights),
      **views,
      void_class=config.loss.void_class,
      prefix=split,
      on_error=config.dataset.on_error,
      crf=given,
      measure=True,
    )
    evaluation = evaluator(variables)
    measured = cost_of_first(evaluation, model, variables, views, mesh)
    options = {
      'output_stride': stride,
      'scales': list(scales),
      'flip': flip,
      'window': list(window) if window else None,
      'max_pictures': max_pictures,
      'crf': given,
    }
    views_words = evaluation_table.describe(options)
    head = f'{workdir}, step {step}, {split}: {views_words}'
    if jax.process_index() == 0:
      # First of all: they must not be lost where nothing can be written.
      words = evaluation_table.table(evaluation, info, split, config)
      print(f'\n{head}\n{words}')
      if measured:
        device = jax.local_devices()[0].device_kind
        each = f'each of {measured.devices} ' if measured.devices > 1 else ''
        print(f'{"one picture":<22}{measured} on {each}{device}')
      path = evaluation_files.write(
        workdir, split, step, options, evaluation, info, measured
      )
      print(f'Written to {path}')
      print(f'Report: {report.write(workdir, path)}')
      evaluation = dataclasses.replace(evaluation, file=path)
    evaluations.append(evaluation)
    costs.append(measured)
  if len(strides) > 1 and jax.process_index() == 0:
    print()
    for stride, evaluation, measured in zip(nets, evaluations, costs):
      print(
        f'output stride {stride:2}: {evaluation_table.miou(evaluation, split)}'
        f', {measured or "no picture"}'
      )
    for stride, reason in impossible.items():
      print(f'output stride {stride:2}: not possible: {reason}')
  return evaluations


def build_all(
  config: ml_collections.ConfigDict, info: DatasetInfo, strides: Sequence[int]
) -> tuple[dict[int, Any], dict[int, str]]:
  """Networks by output stride, and why there is none at the others.

  Raises:
    ValueError: If there is none at all, or a stride is no output stride.
  """
  nets, impossible = {}, {}
  for stride in strides:
    atrous.check_output_stride(stride)
    try:
      nets[stride] = build(config, info, output_stride=stride)
    except ValueError as error:
      impossible[stride] = str(error)
  if not nets:
    raise ValueError(next(iter(impossible.values())))
  return nets, impossible


def cost_of_first(
  evaluation: Evaluation,
  model: Any,
  variables: Any,
  views: dict[str, Any],
  mesh: Mesh,
) -> cost.Cost | None:
  """The cost of the first picture again, alone; None if there was none."""
  if not evaluation.pictures:
    return None
  first = evaluation.pictures[0]
  return cost.measure_picture(
    model,
    variables,
    first['image'],
    first['label'].shape,
    spatial=mesh.shape['spatial'],
    **views,
  )


def build(
  config: ml_collections.ConfigDict, info: DatasetInfo, **changes: Any
) -> Any:
  """The run's network, with some keys of `config.model` changed."""
  options = {**config_lib.model_options(config), **changes}
  return models.build(config_lib.num_outputs(config, info), **options)


def open_split(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  split: str,
  data_dir: str | None,
  max_pictures: int | None,
) -> data.Source:
  """The pictures of a run's split, or the first of them.

  Raises:
    RunError: Other classes than the run's, or no number of pictures.
    DataError: Data missing or unusable.
  """
  name = config.dataset.name
  folder = config.dataset.dir if data_dir is None else data_dir
  check_classes(name, folder, info)
  source = open_source(name, split, folder, info)
  if max_pictures is None:
    return source
  if max_pictures < 1:
    raise RunError(f'max_pictures (={max_pictures}) must be 1 or more.')
  return First(source, max_pictures)


def check_classes(name: str, folder: str, info: DatasetInfo) -> None:
  """RunError unless the data's classes are those of the run."""
  there = data.info(name, folder).class_names
  if there != info.class_names:
    raise RunError(
      f'the classes of {name} in {folder!r} are {", ".join(there)}; the run '
      f'was trained on {", ".join(info.class_names)}. Give the folder of its '
      'data set with --data_dir.'
    )


def open_source(
  name: str, split: str, folder: str, info: DatasetInfo
) -> data.Source:
  """The pictures of a split, with what else is measured where it is there."""
  source = data.source(name, split, folder)  # whatever is missing shows here
  extras = ()
  for extra, what in _EXTRAS.items():
    if extra == 'instance' and not info.instance_classes:
      continue
    try:
      wanted = (*extras, extra)
      source, extras = data.source(name, split, folder, extras=wanted), wanted
    except data.DataError as error:
      if extra == 'instance':
        log.info('No %s: %s', what, error)
  return source


class First:
  """The first `count` pictures of a source; picklable."""

  def __init__(self, source: Any, count: int):
    self._source, self._count = source, min(count, len(source))

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < self._count:
      raise IndexError(index)
    return self._source[index]
