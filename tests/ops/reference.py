"""Plain numpy versions of the operations, pixel by pixel, in float64."""

import numpy as np


def conv(x, kernel, stride=1, rate=1, groups=1):
  """`[B, H, W, C]` with `[k, k, C / groups, O]`, zero padding."""
  x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
  batch, height, width, _ = x.shape
  size, _, inputs, outputs = kernel.shape
  out = np.zeros((batch, -(-height // stride), -(-width // stride), outputs))
  per_group = outputs // groups
  for i in range(out.shape[1]):
    for j in range(out.shape[2]):
      for u in range(size):
        for v in range(size):
          row = stride * i + rate * (u - size // 2)
          column = stride * j + rate * (v - size // 2)
          if not (0 <= row < height and 0 <= column < width):
            continue
          for g in range(groups):
            outs = slice(g * per_group, (g + 1) * per_group)
            ins = slice(g * inputs, (g + 1) * inputs)
            out[:, i, j, outs] += x[:, row, column, ins] @ kernel[u, v, :, outs]
  return out


def batch_norm(x, scale, bias, mean=None, var=None, epsilon=1e-5):
  """With the statistics given, or else those of `x`."""
  x = np.asarray(x, np.float64)
  mean = x.mean((0, 1, 2)) if mean is None else mean
  var = x.var((0, 1, 2)) if var is None else var
  return (x - mean) / np.sqrt(var + epsilon) * scale + bias


def max_pool(x, window=3, stride=2):
  """Padded with minus infinity."""
  batch, height, width, channels = x.shape
  out = np.zeros((batch, -(-height // stride), -(-width // stride), channels))
  half = window // 2
  for i in range(out.shape[1]):
    for j in range(out.shape[2]):
      top, left = stride * i, stride * j
      patch = x[
        :,
        max(top - half, 0) : top + half + 1,
        max(left - half, 0) : left + half + 1,
      ]
      out[:, i, j] = patch.max((1, 2))
  return out


def bilinear(x, size, align_corners=False, half_pixel_centers=True):
  """As documented for PyTorch's `F.interpolate`, one pixel at a time."""
  grid = (align_corners, half_pixel_centers)
  x = np.asarray(x, np.float64)
  height, width = x.shape[1:3]
  out = np.zeros((x.shape[0], *size, x.shape[3]))
  for i in range(size[0]):
    for j in range(size[1]):
      top, bottom, a = _source(i, height, size[0], *grid)
      left, right, b = _source(j, width, size[1], *grid)
      out[:, i, j] = (1 - a) * (
        (1 - b) * x[:, top, left] + b * x[:, top, right]
      ) + a * ((1 - b) * x[:, bottom, left] + b * x[:, bottom, right])
  return out


def _source(i, size_in, size_out, align_corners, half_pixel_centers):
  if align_corners:
    scale = (size_in - 1) / (size_out - 1) if size_out > 1 else 0.0
    s = scale * i
  elif not half_pixel_centers:  # TensorFlow 1's resize_bilinear
    s = size_in / size_out * i
  else:
    s = max(size_in / size_out * (i + 0.5) - 0.5, 0.0)
  low = min(int(s), size_in - 1)
  return low, min(low + 1, size_in - 1), s - low
