"""How fast the dense CRF is, and Kraehenbuehl's beside it in the same run."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import jax
import numpy as np

from deeplax import crf
from deeplax.benchmark.machine import load, machine
from deeplax.crf import mean_field
from deeplax.data.datasets import synthetic
from deeplax.errors import RunError

_PACKAGES = ('numpy', 'opencv-python-headless', 'jax', 'scipy')
PRESETS = {'v1': crf.DEEPLAB_V1, 'v2': crf.DEEPLAB_V2}


def benchmark_crf(
  *,
  size: tuple[int, int] = (1024, 2048),
  preset: str = 'v1',
  image: str | None = None,
  classes: int = 19,
  repeats: int = 5,
) -> dict[str, Any]:
  """Seconds for one picture, lattices included, of both implementations.

  They take turns, so that other work on the machine slows both. Each of ours
  builds its lattices afresh, that of the spatial kernel too, which is otherwise
  kept from one picture of a size to the next. The first call, which compiles
  where there is something to compile, stands apart.

  Args:
    size: Height and width in pixels; a picture is resized to it.
    preset: `'v1'` or `'v2'`, the parameters of `deeplax.crf`.
    image: File of a photograph; default a drawn street. Photographs are
      rougher, and their lattices larger.
    classes: Labels of the energies, which are drawn.
    repeats: Measurements of each, after one that does not count.

  Returns:
    `'seconds'` and `'pydensecrf2_seconds'` (medians; None without it),
    `'grid_seconds'` of the approximation, all repeats, the largest difference
    and the share of equal labels, and what they were measured on.

  Raises:
    RunError: The file is no picture, or the size is 0.
  """
  height, width = size
  if min(size) < 1:
    raise RunError(f'size is {height}x{width}; expected at least 1x1.')
  pixels, name = _picture(image, height, width)
  unary = _energies(height, width, classes)
  keys = PRESETS[preset]
  ours = {
    method: _ours(pixels, unary, dict(keys, method=method))
    for method in ('lattice', 'grid')
  }
  theirs = _theirs(pixels, unary, keys)
  first, q = _timed(ours['lattice'])
  near = _timed(ours['grid'])[1]
  expected = _timed(theirs)[1] if theirs else None
  before = load()
  runs = dict(ours, **({'pydensecrf2': theirs} if theirs else {}))
  seconds = {run: [] for run in runs}
  for _ in range(repeats):
    for run, call in runs.items():
      seconds[run].append(_timed(call)[0])
  median = {run: statistics.median(s) for run, s in seconds.items()}
  peer = median.get('pydensecrf2')
  return {
    'what': 'crf',
    'seconds': round(median['lattice'], 3),
    'pydensecrf2_seconds': peer and round(peer, 3),
    'times_as_fast': peer and round(peer / median['lattice'], 2),
    'grid_seconds': round(median['grid'], 3),
    'seconds_of_first_call': round(first, 3),
    'repeats': {k: [round(s, 3) for s in v] for k, v in seconds.items()},
    **_difference('pydensecrf2', q, expected),
    **_difference('grid', q, near),
    'size': f'{height}x{width}',
    'classes': classes,
    'preset': preset,
    'iterations': keys['num_iterations'],
    'picture': name,
    'device': jax.devices()[0].device_kind,
    'load_before': before,
    **machine(*_PACKAGES),
  }


def _picture(path: str | None, height: int, width: int):
  """uint8 RGB of the size, and what to call it."""
  if path is None:
    name = f'synthetic:{height}x{width}'
    source = synthetic.source('train', argument=f'{height}x{width}x1')
    return source[0]['image'], name
  image = cv2.imread(path)
  if image is None:
    raise RunError(f'{path} is no picture that can be read; expected a file.')
  image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
  return np.ascontiguousarray(image[..., ::-1]), path


def _energies(height: int, width: int, classes: int) -> np.ndarray:
  """Regions of a few dozen pixels and noise, `[H, W, C]`; seed 0."""
  rng = np.random.default_rng(0)
  coarse = rng.normal(0, 3, (classes, -(-height // 24), -(-width // 24)))
  scores = [cv2.resize(c, (width, height)) for c in coarse]
  unary = np.stack(scores, axis=-1).astype(np.float32)
  unary += rng.normal(0, 0.7, unary.shape).astype(np.float32)
  return -unary


def _ours(image: np.ndarray, unary: np.ndarray, keys: dict[str, Any]):
  def run():
    mean_field.forget_lattices()
    return np.asarray(crf.dense_crf(image, unary=unary, **keys))

  return run


def _theirs(image: np.ndarray, unary: np.ndarray, keys: Any):
  """pydensecrf2 with the same parameters; None where it is not installed."""
  try:
    from pydensecrf import densecrf
  except ImportError:
    return None
  height, width, classes = unary.shape
  sxy, weight = keys['spatial']
  bilateral = dict(zip(('sxy', 'srgb', 'compat'), keys['bilateral']))

  def run():
    model = densecrf.DenseCRF2D(width, height, classes)
    model.setUnaryEnergy(np.ascontiguousarray(unary.reshape(-1, classes).T))
    model.addPairwiseGaussian(sxy=sxy, compat=weight)
    model.addPairwiseBilateral(rgbim=image, **bilateral)
    q = np.array(model.inference(keys['num_iterations']))
    return q.T.reshape(unary.shape)

  return run


def _timed(call: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
  start = time.perf_counter()
  result = call()
  return time.perf_counter() - start, result


def _difference(name: str, q: np.ndarray, other: np.ndarray | None):
  if other is None:
    return {}
  return {
    f'{name}_max_difference': float(np.abs(q - other).max()),
    f'{name}_equal_labels': float((q.argmax(-1) == other.argmax(-1)).mean()),
  }
