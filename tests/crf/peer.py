"""Kraehenbuehl's CRF through pydensecrf2."""

import numpy as np


def infer(
  image,
  unary,
  *,
  num_iterations,
  spatial=None,
  bilateral=None,
  normalization='symmetric',
  compatibility=None,
):
  """As `deeplax.crf.dense_crf`; a compatibility must be symmetric."""
  from pydensecrf import densecrf

  height, width, classes = unary.shape
  crf = densecrf.DenseCRF2D(width, height, classes)
  crf.setUnaryEnergy(
    np.ascontiguousarray(unary.reshape(-1, classes).T, np.float32)
  )
  kind = {
    'symmetric': densecrf.NORMALIZE_SYMMETRIC,
    'before': densecrf.NORMALIZE_BEFORE,
    'after': densecrf.NORMALIZE_AFTER,
    'none': densecrf.NO_NORMALIZATION,
  }[normalization]
  keys = dict(kernel=densecrf.DIAG_KERNEL, normalization=kind)

  def compat(weight):
    if compatibility is None:
      return weight
    return np.ascontiguousarray(weight * compatibility, np.float32)

  if spatial is not None:
    sxy, weight = spatial
    crf.addPairwiseGaussian(sxy=sxy, compat=compat(weight), **keys)
  if bilateral is not None:
    sxy, srgb, weight = bilateral
    image = np.ascontiguousarray(image)
    crf.addPairwiseBilateral(
      sxy=sxy, srgb=srgb, rgbim=image, compat=compat(weight), **keys
    )
  q = np.array(crf.inference(num_iterations))
  return q.T.reshape(unary.shape)
