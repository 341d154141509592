"""Slow and plain versions of what deeplax.measures counts."""

import numpy as np

VOID = 255


def labels(seed, size, classes, *, void=True, block=4, odd=0.03):
  """uint8[H, W] of blocks, with a share `odd` of the pixels changed."""
  rng = np.random.default_rng(seed)
  values = [*range(classes), *[VOID] * void]
  coarse = rng.choice(values, (-(-size[0] // block), -(-size[1] // block)))
  label = np.kron(coarse, np.ones((block, block)))[: size[0], : size[1]]
  changed = rng.random(size) < odd
  return np.where(changed, rng.choice(values, size), label).astype(np.uint8)


def confusion(label, pred, rows, columns):
  counts = np.zeros((rows, columns), np.int64)
  for t, p in zip(label.ravel(), pred.ravel()):
    if t != VOID:
      counts[t, p] += 1
  return counts


def near_another(label, r):
  """Whether the square of r pixels around holds another label: bool[H, W]."""
  result = np.zeros(label.shape, bool)
  for y, x in np.ndindex(label.shape):
    window = label[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]
    result[y, x] = (window != label[y, x]).any()
  return result


def erode(mask, times):
  """Erosions with 3 x 3; nothing is around the picture."""
  for _ in range(times):
    padded = np.pad(mask, 1)
    height, width = mask.shape
    shifted = [
      padded[dy : dy + height, dx : dx + width]
      for dy in range(3)
      for dx in range(3)
    ]
    mask = np.logical_and.reduce(shifted)
  return mask
