"""Training crops with their labels, as the network will see them."""

import itertools
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import jax
import ml_collections
import numpy as np

from deeplax import (
  atomic,
  contact_sheet,
  data,
  dry_run,
  fitting,
  objective,
  open_keys,
  recipe,
  sharding,
)
from deeplax import config as config_lib
from deeplax.data import ops as operations
from deeplax.data import pipeline
from deeplax.errors import ConfigError

CROPS = 12
_STRIDE = 16  # where there is no network to ask


def preview(
  config: ml_collections.ConfigDict | None,
  name: str,
  data_dir: str,
  splits: Sequence[str],
  ops: str = '',
  output: str = '',
) -> str:
  """Draws the first crops of training into a PNG.

  They are those of the first steps, from the same pipeline with the same seed,
  and do not hang on the batch size.

  Args:
    config: One of configs/, whose data and operations they are; or None.
    name, data_dir, splits: Without a config, the data set, its folder, and
      the split, the first one. The seed is 0.
    ops: Operations instead of the config's `input.train`, or those of
      `configs/folder.py`.
    output: The PNG, or `preview.png`.

  Returns:
    What there is to see, in words.

  Raises:
    ConfigError: On a config, or operations, that can't be run.
    DataError: On data that can't be read.
  """
  output = output or 'preview.png'
  if os.path.isdir(output):
    raise ConfigError(
      f'--output (={output}) is a folder; give the name of a PNG, such as '
      f'{os.path.join(output, "preview.png")}.'
    )
  if config is None:
    return _of_data(name, data_dir, splits[0], ops, output)
  if data_dir:
    raise ConfigError(
      f'--dir (={data_dir}) is for data without a config; give it as '
      f'--config.dataset.dir={data_dir}.'
    )
  return _of_config(config, ops, output)


def _of_config(config, ops, output):
  if ops:
    config = config.copy_and_resolve_references()
    config.input.train = ops
  config_lib.validate(config)
  config = fitting.complete(config, pathlib.Path(), memory=False)
  dataset = config.dataset
  source = data.source(dataset.name, dataset.train_split, dataset.dir)
  mesh = sharding.make_mesh(**config.mesh)
  return _draw(
    data.info(dataset.name, dataset.dir),
    source,
    recipe.batch_options(config, mesh),
    config.input.workers,
    output,
  )


def _of_data(name, data_dir, split, ops, output):
  info = data.info(name, data_dir)
  source = data.source(name, split, data_dir)
  if not ops:
    crop = fitting.crop_size(fitting.picture_sizes(source), _STRIDE)
    ops = open_keys.chain(*crop)
  try:
    parsed = operations.parse(ops)
  except ValueError as error:
    raise ConfigError(f'--ops: {error}') from error
  if operations.crop_size(parsed) is None:
    raise ConfigError(
      f'--ops (={ops!r}) must bring every picture to one size: end it with '
      'random_crop(height, width) or resize(height, width).'
    )
  options = dict(ops=ops, batch_size=open_keys.LARGEST_BATCH, seed=0)
  return _draw(info, source, options, 0, output)


def _draw(
  info: data.DatasetInfo,
  source: data.Source,
  options: dict[str, Any],
  workers: int,
  output: str | os.PathLike,
) -> str:
  dry_run.ends_here(
    lambda: f'{CROPS} crops by {options["ops"]} would be drawn to {output}.'
  )
  with pipeline.train_batches(source, workers=workers, **options) as batches:
    shown = list(itertools.islice(crops(batches, source), CROPS))
  picture = contact_sheet.sheet(shown, info.class_names, info.palette)
  _, encoded = cv2.imencode('.png', picture[..., ::-1])
  atomic.write(output, encoded.tobytes())
  counts = sum(np.bincount(c.label.ravel(), minlength=256) for c in shown)
  absent = [n for n, count in zip(info.class_names, counts) if not count]
  height, width = shown[0].label.shape
  shrunk = ' (shrunk)' if width > contact_sheet.WIDEST else ''
  return (
    f'{output}: the first {len(shown)} crops of training, {height}x{width}'
    f'{shrunk}, by {options["ops"]}\n'
    f'{counts[info.ignore_label] / counts.sum():.1%} of their pixels are void; '
    f'no pixel of: {", ".join(absent) or "none, all classes are there"}'
  )


def crops(
  batches: Iterable[dict[str, Any]], source: data.Source
) -> Iterable[contact_sheet.Crop]:
  """Those of batch after batch, but for examples that were left out.

  Args:
    batches: Of `pipeline.train_batches`; what is left to the device is done.
    source: Theirs, for the names.
  """
  image_of = jax.jit(objective.image)
  for batch in batches:
    used = {k: batch[k] for k in ('image', 'photometric') if k in batch}
    images = np.asarray(image_of(used))
    for i in np.flatnonzero(batch['valid']):
      name = source[int(batch['index'][i])]['id']
      yield contact_sheet.Crop(images[i], batch['label'][i], name)
