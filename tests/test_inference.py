"""Prediction at any size, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import inference
from deeplax.ops.resize import resize

KERNEL = np.random.default_rng(0).normal(0, 0.1, (5, 5, 3, 4))


def network(image):
  """A convolution of stride 4: not mirror symmetric, and it sees borders."""
  return jax.lax.conv_general_dilated(
    image.astype(jnp.float32) / 64,
    jnp.asarray(KERNEL, jnp.float32),
    (4, 4),
    ((2, 2), (2, 2)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def picture(height=22, width=37, batch=2, seed=1):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (batch, height, width, 3), np.uint8)


@pytest.mark.parametrize('align_corners', [False, True])
def test_one_view_is_the_upsampled_logits(align_corners):
  image = picture()
  got = inference.predict_logits(network, image, align_corners=align_corners)
  want = resize(network(image), (22, 37), align_corners=align_corners)
  np.testing.assert_allclose(got, want, atol=1e-6)
  other = inference.predict_logits(network, image, out_size=(11, 9))
  assert other.shape == (2, 11, 9, 4)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('flip', [False, True])
def test_views_are_averaged_after_softmax_at_full_size(flip, align_corners):
  image, scales = picture(), (0.5, 1.0, 1.75)
  views = []
  for scale in scales:
    if align_corners:
      size = (int(21 * scale + 1), int(36 * scale + 1))
    else:
      size = (int(22 * scale + 0.5), int(37 * scale + 0.5))
    for mirror in (1, -1) if flip else (1,):
      view = resize(
        jnp.asarray(image, jnp.float32), size, align_corners=align_corners
      )
      logits = resize(
        network(view[:, :, ::mirror]), (22, 37), align_corners=align_corners
      )
      views.append(jax.nn.softmax(logits)[:, :, ::mirror])
  options = dict(scales=scales, flip=flip, align_corners=align_corners)
  got = inference.predict_probs(network, image, **options)
  np.testing.assert_allclose(got, np.mean(views, 0), atol=2e-6)
  logs = inference.predict_logits(network, image, **options)
  np.testing.assert_allclose(jnp.exp(logs), got, atol=2e-6)


def test_mirror_of_the_image_gives_the_mirrored_result():
  image = picture()
  options = dict(scales=(0.75, 1.0), flip=True)
  one = inference.predict_probs(network, image, **options)
  other = inference.predict_probs(network, image[:, :, ::-1], **options)
  np.testing.assert_allclose(one, other[:, :, ::-1], atol=1e-6)


def test_probability_zero_has_a_finite_logarithm():
  def certain(image):
    return jnp.stack([image[..., 0] * 0 + 1e4, image[..., 0] * 0], -1)

  image = picture().astype(np.float32)
  logs = inference.predict_logits(certain, image, flip=True)
  assert np.isfinite(logs).all()
  assert (np.argmax(logs, -1) == 0).all()


def test_image_is_shrunk_without_antialias():
  image = np.zeros((1, 8, 8, 3), np.uint8)
  image[:, 1::4] = 255  # between the sample points of half the size
  small = inference.scale_image(jnp.asarray(image), 0.25)
  np.testing.assert_array_equal(small, np.full((1, 2, 2, 3), 127.5))
  assert inference.scale_image(image, 1.0) is image


@pytest.mark.parametrize(
  ('size', 'scale', 'align_corners', 'want'),
  [
    ((1024, 2048), 0.75, False, (768, 1536)),
    ((3, 5), 0.5, False, (2, 3)),
    ((1025, 2049), 1.25, True, (1281, 2561)),
    ((513, 513), 0.5, True, (257, 257)),
    ((1025, 1025), 1.1, True, (1127, 1127)),
    ((2, 3), 0.1, False, (1, 1)),
  ],
)
def test_scaled_size(size, scale, align_corners, want):
  got = inference.scaled_size(size, scale, align_corners=align_corners)
  assert got == want


@pytest.mark.parametrize(
  'options',
  [
    {},
    dict(align_corners=True),
    dict(half_pixel_centers=False, out_size=(35, 51)),
    dict(scales=(1.5,), out_size=(150, 131)),  # several tiles
    dict(out_size=(3, 4)),
    dict(scales=(0.5, 1.0), flip=True),
    dict(window=(16, 16)),
  ],
)
def test_labels_are_the_largest_logits(options):
  logits = inference.predict_logits(network, picture(), **options)
  labels = jax.jit(lambda x: inference.predict_labels(network, x, **options))(
    picture()
  )
  assert labels.dtype == np.uint8
  top = np.sort(logits, -1)
  clear = top[..., -1] - top[..., -2] > 1e-4  # no tie but for rounding
  assert clear.mean() > 0.99
  np.testing.assert_array_equal(
    np.asarray(labels)[clear], np.argmax(logits, -1)[clear]
  )


@pytest.mark.parametrize('scales', [(), (0.0,), (1.0, -1.0), (float('nan'),)])
def test_bad_scales(scales):
  with pytest.raises(ValueError, match='scales are'):
    inference.predict_logits(network, picture(), scales=scales)


@pytest.mark.parametrize(
  ('size', 'window'), [(100, 30), (31, 30), (30, 30), (7, 30), (64, 1), (9, 2)]
)
def test_windows_cover_the_picture_and_stay_inside(size, window):
  starts = inference.window_starts(size, window)
  covered = np.zeros(size, int)
  for start in starts:
    assert 0 <= start <= max(size - window, 0)
    covered[start : start + window] += 1
  assert covered.min() >= 1
  if window > 2:
    gaps = np.diff(starts)
    assert (gaps <= window * 2 // 3).all()


def test_sliding_window_averages_overlaps():
  image, window = picture(25, 41), (12, 16)
  total, count = np.zeros((2, 25, 41, 4)), np.zeros((25, 41, 1))
  for y in inference.window_starts(25, 12):
    for x in inference.window_starts(41, 16):
      at = np.s_[y : y + 12, x : x + 16]
      logits = resize(network(image[:, at[0], at[1]]), window)
      total[:, at[0], at[1]] += np.asarray(logits)
      count[at] += 1
  got = inference.predict_logits(network, image, window=window)
  np.testing.assert_allclose(got, total / count, atol=1e-5)


def test_window_larger_than_the_picture_is_the_whole_picture():
  image = picture()
  got = inference.predict_logits(network, image, window=(64, 64))
  want = inference.predict_logits(network, image)
  np.testing.assert_allclose(got, want, atol=1e-6)
  with pytest.raises(ValueError, match='window is'):
    inference.predict_logits(network, image, window=(0, 8))


def test_works_under_jit_and_in_one_trace_per_scale():
  traced = []

  def counting(image):
    traced.append(image.shape)
    return network(image)

  run = jax.jit(
    lambda x: inference.predict_probs(counting, x, scales=(0.5, 1.0), flip=True)
  )
  probs = run(picture())
  np.testing.assert_allclose(jnp.sum(probs, -1), 1, atol=1e-5)
  assert set(traced) == {(2, 11, 19, 3), (2, 22, 37, 3)}
