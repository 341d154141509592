"""Fits what a config leaves open to the pictures and to the device's memory.

Crops are as large as the pictures, 512 at most; a batch has 8 pictures, or as
many as fit. What was chosen stands in the run's config.json, and a run that
goes on has the same, whatever the machine.
"""

import logging
import pathlib
import statistics
from collections.abc import Sequence

import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import (
  config_ranges,
  data,
  device_memory,
  models,
  open_keys,
  saved_config,
  sharding,
  step_memory,
)
from deeplax import workdir as workdir_lib
from deeplax.data import files, ops

log = logging.getLogger('deeplax')

_PICTURES = 64  # whose sizes are looked at
_GRID = 32  # crops are multiples of it
_SMALLEST = 128  # rows or columns, where memory is short
_SHAPES = 4  # of evaluation that may be compiled without padding
# A plan for fewer pictures is a line through the one that was compiled.
_MARGIN = 0.95


def complete(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  *,
  memory: bool = True,
) -> ml_collections.ConfigDict:
  """The config with nothing left open; what was chosen is said in a line.

  Args:
    config: One of configs/; what is wrong with it is said before data is read.
    workdir: Of the run, whose own choice is taken where it has begun.
    memory: False leaves the memory out of account, for which a step has to be
      compiled.

  Raises:
    ConfigError: On a config that can't be run.
    DataError: On data that is missing.
  """
  left = open_keys.of(config)
  if not left:
    return config
  config_lib.validate(config)
  config = config.copy_and_resolve_references()
  with config.unlocked():
    if workdir_lib.has_checkpoint(workdir):
      _take(config, saved_config.load(workdir / workdir_lib.CONFIG), left)
    else:
      _choose(config, left, memory)
  return config.lock()


def _take(config, saved, left):
  for key in left:
    section, _, name = key.rpartition('.')
    source, target = (c[section] if section else c for c in (saved, config))
    target[name] = source[name]
  if 'batch_size' in left and config.input.eval_batch_size is None:
    config.input.eval_batch_size = saved.input.eval_batch_size


def _choose(config, left, memory):
  dataset = config.dataset
  info = data.info(dataset.name, dataset.dir)
  sources = [
    data.source(dataset.name, split, dataset.dir)
    for split in (dataset.train_split, dataset.eval_split)
  ]
  sizes, eval_sizes = map(picture_sizes, sources)
  if config.input.eval is None:
    config.input.eval = padding(eval_sizes)
  if left == ('input.eval',):
    return
  crop = crop_size(sizes, config.model.output_stride)
  most = len(sources[0])
  # Batch norm needs two pictures, even if they are the same.
  most = min(max(1 << most.bit_length() - 1, 2), open_keys.LARGEST_BATCH)
  open_batch = config.batch_size is None
  if open_batch:
    config.batch_size = open_keys.batch_size(config, most)
  needed = budget = None
  if memory:
    log.info('Compiling a step, to see how much memory it takes ...')
    if 'input.train' in left:
      config.input.train = open_keys.train_ops(config, *crop)
    # The program is that of training, which finds it in the cache.
    whole = config_lib.resolve(config, len(sources[0]))
    crop, needed, budget = _fit(config, whole, info, crop, left)
  if 'input.train' in left:
    config.input.train = open_keys.train_ops(config, *crop)
  if open_batch and config.input.eval_batch_size is None:
    config.input.eval_batch_size = _eval_batch(config, crop, eval_sizes)
  _say(config, left, sizes, len(sources[0]), needed, budget)


def picture_sizes(source: data.Source) -> list[tuple[int, int]]:
  """Height and width of pictures, at most 64, spread over the source.

  Raises:
    DataError: Of the first picture, if none of them can be read.
  """
  count = min(len(source), _PICTURES)
  found, errors = [], []
  for index in np.linspace(0, len(source) - 1, count).astype(int).tolist():
    try:
      if hasattr(source, 'files'):
        path = source.files(index).image
        head = files.header(files.read_bytes(path), path)
        found.append((head.height, head.width))
      else:
        found.append(source[index]['image'].shape[:2])
    except data.DataError as error:
      errors.append(error)
  if not found:
    raise errors[0]
  return found


def crop_size(
  sizes: Sequence[tuple[int, int]], output_stride: int
) -> tuple[int, int]:
  """Height and width of crops for pictures of these sizes.

  The medians, cut to multiples of 32 from twice the output stride to 512.
  """
  low = max(2 * output_stride, _GRID)
  medians = (int(statistics.median(n)) for n in zip(*sizes))
  height, width = (
    min(max(n // _GRID * _GRID, low), open_keys.LARGEST_CROP) for n in medians
  )
  return height, width


def padding(sizes: Sequence[tuple[int, int]]) -> str:
  """Operations that make the shapes of evaluation few: each is compiled."""
  if len({*sizes}) <= _SHAPES:
    return ''
  largest = max(max(size) for size in sizes)
  return f'pad_to_multiple({128 if largest >= 256 else 32})'


def _fit(config, whole, info, crop, left):
  """Makes batch and crop smaller until a step fits into the memory.

  Returns:
    The crop, the bytes that a step needs on a device, and those there are.
  """
  mesh = sharding.make_mesh(**config.mesh)
  budget = device_memory.for_a_step(mesh)
  size = ops.crop_size(ops.parse(config.input.train))
  crop = crop if 'input.train' in left else size
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  plan = step_memory.train_step_memory(whole, info, model, size)
  state = plan['state']
  a_picture = (plan['total'] - state) / config.batch_size
  parts = open_keys.parts(config)

  def needed():
    return state + a_picture * config.batch_size

  if budget is None or needed() <= budget:
    return crop, needed(), budget
  room = budget * _MARGIN
  while needed() > room:
    smaller = config.batch_size // 2 // parts * parts
    if 'batch_size' in left and smaller >= max(2, parts):
      config.batch_size = smaller
    elif 'input.train' in left and max(crop) > _SMALLEST:
      before = crop[0] * crop[1]
      crop = tuple(
        max(n // 2 // _GRID * _GRID, min(n, _SMALLEST)) for n in crop
      )
      a_picture *= crop[0] * crop[1] / before
    else:
      log.warning(
        'A step may need more memory than there is. What makes it smaller: '
        'model.remat=True, model.output_stride=16, model.variant=18, a smaller '
        'random_crop in input.train.'
      )
      break
  return crop, needed(), budget


def _eval_batch(config, crop, sizes):
  """Pictures in a batch of evaluation: four times the pixels of training."""
  pixels = 4 * config.batch_size * crop[0] * crop[1]
  fits = pixels // max(height * width for height, width in sizes)
  parts = sharding.make_mesh(**config.mesh).shape['data']
  return max(min(fits, config.batch_size) // parts, 1) * parts


def _say(config, left, sizes, count, needed, budget):
  room = ''
  if needed:
    there = f'{budget / 2**30:.1f}' if budget else 'an unknown number of'
    room = f' (a step: {needed / 2**30:.1f} of {there} GiB on a device)'
  heights, widths = ((min(n), max(n)) for n in zip(*sizes))
  ranges = (f'{a}' if a == b else f'{a}..{b}' for a, b in (heights, widths))
  log.info(
    'Chosen for %d pictures of %s%s:\n%s',
    *(count, 'x'.join(ranges), room),
    ' '.join(
      f'--config.{key}={config_ranges.get(config, key)!r}' for key in left
    ),
  )
