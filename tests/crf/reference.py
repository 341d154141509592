"""The dense CRF in plain numpy: a slow lattice of tuples, and exact kernels."""

import numpy as np


def features(image, sxy, srgb=None):
  """`[N, d]` float64, pixel by pixel in reading order."""
  rows = []
  for y in range(image.shape[0]):
    for x in range(image.shape[1]):
      row = [x / sxy[0], y / sxy[1]]
      if srgb is not None:
        row += [image[y, x, c] / srgb[c] for c in range(3)]
      rows.append(row)
  return np.array(rows, np.float64)


def gauss(points):
  """exp(-|x_i - x_j|^2 / 2), `[N, N]`."""
  square = ((points[:, None] - points[None]) ** 2).sum(-1)
  return np.exp(-square / 2)


def simplex(x):
  """Vertices (tuples of d + 1 whole numbers) around x, and their weights.

  Found by their defining property: the vertex of remainder r is that of
  remainder 0 with r added, and d + 1 taken away again from the r coordinates
  that lag behind most.
  """
  d = len(x)
  spread = np.sqrt(2 / 3) * (d + 1)
  c = x * spread / np.sqrt([(i + 1) * (i + 2) for i in range(d)])
  matrix = np.zeros((d + 1, d))
  for j in range(d):
    matrix[: j + 1, j] = 1
    matrix[j + 1, j] = -(j + 1)
  y = matrix @ c
  zero = np.rint(y / (d + 1)) * (d + 1)
  lag = np.argsort(zero - y, kind='stable')
  # Back to the plane, with the coordinates that were rounded furthest.
  excess = round(zero.sum() / (d + 1))
  if excess > 0:
    zero[lag[-excess:]] -= d + 1
  elif excess < 0:
    zero[lag[:-excess]] += d + 1
  rest = (y - zero) / (d + 1)
  order = np.argsort(-rest, kind='stable')
  vertices, weights = [], []
  for r in range(d + 1):
    vertex = zero + r
    vertex[order[d + 1 - r :]] -= d + 1
    vertices.append(tuple(vertex.astype(int)))
  ahead = rest[order]
  weights = [1 + ahead[-1] - ahead[0]]
  weights += [ahead[d - r] - ahead[d + 1 - r] for r in range(1, d + 1)]
  return vertices, weights


def lattice_matrix(points):
  """The lattice's filter of features `[N, d]` as a matrix `[N, N]`."""
  num, d = points.shape
  found = [simplex(x) for x in points]
  number = {}
  for vertices, _ in found:
    for vertex in vertices:
      number.setdefault(vertex, len(number))
  splat = np.zeros((len(number), num))
  for i, (vertices, weights) in enumerate(found):
    for vertex, weight in zip(vertices, weights):
      splat[number[vertex], i] += weight
  filtered = splat
  for j in range(d + 1):
    blur = np.eye(len(number))
    for vertex, here in number.items():
      for sign in (-1, 1):
        other = [k + sign for k in vertex]
        other[j] -= sign * (d + 1)
        if tuple(other) in number:
          blur[here, number[tuple(other)]] += 0.5
    filtered = blur @ filtered
  return splat.T @ filtered / (1 + 2.0**-d)


def normalize(kernel, normalization):
  rows = kernel.sum(1)
  if normalization == 'symmetric':
    return kernel / np.sqrt(rows[:, None] * rows[None])
  if normalization == 'before':
    return kernel / rows[None]
  if normalization == 'after':
    return kernel / rows[:, None]
  return kernel


def mean_field(unary, kernels, weights, iterations, compatibility=None):
  """Label by label; `unary` `[N, C]`, kernels `[N, N]` normalised."""
  classes = unary.shape[1]
  if compatibility is None:
    compatibility = 1 - np.eye(classes)
  q = softmax(-unary)
  for _ in range(iterations):
    energy = unary.copy()
    for kernel, weight in zip(kernels, weights):
      message = kernel @ q
      for label in range(classes):
        for other in range(classes):
          pays = weight * compatibility[label, other]
          energy[:, label] += pays * message[:, other]
    q = softmax(-energy)
  return q


def softmax(x):
  e = np.exp(x - x.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def picture(height, width, seed=0):
  """Smooth colours, some noise, a dark corner and a saturated patch."""
  rng = np.random.default_rng(seed)
  y, x = np.mgrid[:height, :width]
  image = 90 + 60 * np.sin(x / 5 + np.arange(3)[:, None, None]) + 3 * y
  image = image.transpose(1, 2, 0) + rng.normal(0, 6, (height, width, 3))
  image[: height // 3, : width // 3] = 0
  image[-height // 3 :, -width // 3 :] = 255
  return np.clip(image, 0, 255).astype(np.uint8)


def energies(height, width, classes, seed=1):
  """-log probabilities, uncertain nearly everywhere."""
  rng = np.random.default_rng(seed)
  scores = rng.normal(0, 1.2, (height, width, classes))
  scores[..., 0] += np.linspace(-1, 1, width)
  return -np.log(softmax(scores)).astype(np.float32)
