"""How many augmented crops the input pipeline delivers."""

import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

import ml_collections

from deeplax import data, open_keys
from deeplax.benchmark.machine import load, machine
from deeplax.data import pipeline
from deeplax.data.datasets import synthetic
from deeplax.data.write_memmap import ensure_memmap

OPS = 'random_scale(0.5, 2.0)|random_crop(512, 1024)|random_flip()'
_PACKAGES = ('grain', 'numpy', 'opencv-python-headless')


def benchmark_input(
  config: ml_collections.ConfigDict | None = None,
  *,
  ops: str | None = None,
  batch_size: int | None = None,
  workers: int | None = None,
  pictures: int = 32,
  seconds: float = 5.0,
  repeats: int = 5,
) -> dict[str, Any]:
  """Augmented crops per second that the input pipeline delivers.

  Args:
    config: Take the data set, operations, batch size and workers from here.
      Without one, synthetic pictures of 1024 x 2048 are decoded into a memory
      map in a temporary folder (8 MiB each) and read from there.
    ops, batch_size, workers: Instead of the config's, or of `OPS`, 8 and one
      for each core.
    pictures: Synthetic pictures to draw.
    seconds: Length of a measurement, after a warm-up of the same length.
    repeats: Measurements, one after the other on the running pipeline.

  Returns:
    `'crops_per_second'` (median), `'slowest'` and `'fastest'` of the repeats,
    `'repeats'` (all of them), and what they were measured on.

  Raises:
    DataError: The config's data can't be read.
  """
  with tempfile.TemporaryDirectory(prefix='deeplax-benchmark-') as folder:
    if config is None:
      name = f'memory map of synthetic:1024x2048, {pictures} pictures'
      scenes = synthetic.source('train', argument=f'1024x2048x{pictures}')
      source = ensure_memmap(scenes, synthetic.INFO, folder)
      chosen = OPS, 8, os.cpu_count() or 1
    else:
      name, source = _configured(config)
      config = open_keys.filled(config)
      chosen = config.input.train, config.batch_size, config.input.workers
    given = ops, batch_size, workers
    ops, batch_size, workers = (
      c if g is None else g for g, c in zip(given, chosen)
    )
    with pipeline.train_batches(
      source, ops=ops, batch_size=batch_size, seed=0, workers=workers
    ) as batches:
      start = time.perf_counter()
      next(batches)
      first = time.perf_counter() - start
      _rate(batches, batch_size, seconds)
      before = load()
      rates = [_rate(batches, batch_size, seconds) for _ in range(repeats)]
  return {
    'what': 'input',
    'crops_per_second': round(statistics.median(rates), 1),
    'slowest': round(min(rates), 1),
    'fastest': round(max(rates), 1),
    'repeats': [round(rate, 1) for rate in rates],
    'seconds_per_repeat': seconds,
    'seconds_to_first_batch': round(first, 2),
    'data': name,
    'ops': ops,
    'batch_size': batch_size,
    'workers': workers,
    'load_before': before,
    **machine(*_PACKAGES),
  }


def _configured(config: ml_collections.ConfigDict):
  dataset, cache = config.dataset, config.input.cache
  source = data.source(dataset.name, dataset.train_split, dataset.dir)
  name = f'{dataset.name} {dataset.train_split}, {len(source)} pictures'
  if cache:
    info = data.info(dataset.name, dataset.dir)
    source = ensure_memmap(
      source, info, pathlib.Path(cache) / dataset.train_split
    )
    name = f'memory map of {name}'
  return name, source


def _rate(batches, batch_size: int, seconds: float) -> float:
  """Examples per second over at least `seconds`."""
  count, start = 0, time.perf_counter()
  while True:
    next(batches)
    count += batch_size
    elapsed = time.perf_counter() - start
    if elapsed >= seconds:
      return count / elapsed
