"""Training batches, drawn once by deeplax's pipeline and kept in a file."""

import io
import pathlib
import sys

import ml_collections
import numpy as np
import tqdm

from deeplax import atomic, data
from deeplax.data import pipeline

NAME = 'batches.npz'


def draw(
  config: ml_collections.ConfigDict, steps: int
) -> dict[str, np.ndarray]:
  """`'image'` uint8[S, B, H, W, 3] and `'label'` uint8[S, B, H, W]."""
  source = data.source(
    config.dataset.name, config.dataset.train_split, config.dataset.dir
  )
  found = {'image': [], 'label': []}
  bar = tqdm.trange(
    steps, desc='drawing', leave=False, disable=not sys.stderr.isatty()
  )
  with pipeline.train_batches(
    source,
    ops=config.input.train,
    batch_size=config.batch_size,
    seed=config.seed,
  ) as drawn:
    for _ in bar:
      batch = next(drawn)
      for name, rows in found.items():
        rows.append(batch[name])
  return {name: np.stack(rows) for name, rows in found.items()}


def write(folder: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
  content = io.BytesIO()
  np.savez_compressed(content, **arrays)
  atomic.write(folder / NAME, content.getvalue())


def read(folder: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(folder / NAME) as arrays:
    return dict(arrays)
