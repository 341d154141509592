"""Photometric distortion of a batch on the device, as OpenCV has it on 8 bits.

What `deeplax.data.photometric` does to one picture on the host, to a grey level
at rounding; the random numbers are drawn there.
"""

import jax
import jax.numpy as jnp


def distort(images: jax.Array, numbers: jax.Array) -> jax.Array:
  """Changes brightness, contrast, saturation and hue of each picture.

  Args:
    images: uint8[B, H, W, 3], RGB.
    numbers: float32[B, 6], for each picture an offset in grey levels, the
      factor of contrast, that of saturation, a shift of hue in half degrees,
      whether the step through HSV is taken at all, and whether contrast comes
      before it (0 or 1). (0, 1, 1, 0, 0, 0) leaves a picture as it is.

  Returns:
    uint8[B, H, W, 3].
  """
  parts = jnp.moveaxis(numbers, -1, 0)[..., None, None, None]
  offset, contrast, saturation, hue, through_hsv, contrast_first = parts
  x = _rounded(images.astype(jnp.float32) + offset)
  x = jnp.where(contrast_first > 0, _rounded(x * contrast), x)
  shifted = _saturation_and_hue(x, saturation[..., 0], hue[..., 0])
  x = jnp.where(through_hsv > 0, shifted, x)
  x = jnp.where(contrast_first > 0, x, _rounded(x * contrast))
  return x.astype(jnp.uint8)


def _rounded(x: jax.Array) -> jax.Array:
  return jnp.clip(jnp.rint(x), 0, 255)


def _saturation_and_hue(rgb: jax.Array, factor: jax.Array, shift: jax.Array):
  """Through HSV, whose three channels are whole numbers: OpenCV's on 8 bits.

  The way back is in float32 and ends by cutting off, which makes a level less
  of many a whole number; so the formula is OpenCV's, too, term by term. (It
  rounds in the last columns of a picture, those that fill no vector.)

  Args:
    rgb: float32[B, H, W, 3], whole numbers in 0..255.
    factor, shift: float32[B, 1, 1].
  """
  r, g, b = jnp.moveaxis(rgb.astype(jnp.int32), -1, 0)
  value = jnp.maximum(jnp.maximum(r, g), b)
  chroma = value - jnp.minimum(jnp.minimum(r, g), b)

  saturation = _divided(chroma, 255, value).astype(jnp.float32)
  saturation = _rounded(saturation * factor) * (1 / 255)
  sixths = jnp.where(
    value == r,
    g - b,
    jnp.where(value == g, b - r + 2 * chroma, r - g + 4 * chroma),
  )
  hue = _divided(sixths, 30, chroma) + shift.astype(jnp.int32)
  hue = jnp.mod(hue, 180).astype(jnp.float32) * (6 / 180)

  sector = jnp.floor(hue)
  rising = hue - sector
  full = value.astype(jnp.float32) * (1 / 255)
  least = full * (1 - saturation)
  falls = full * (1 - saturation * rising)
  rises = full * (1 - saturation * (1 - rising))
  sectors = [sector == i for i in range(5)]

  def channel(*by_sector):
    x = jnp.select(sectors, by_sector[:-1], by_sector[-1])
    return jnp.floor(x * 255)

  return jnp.stack(
    [
      channel(full, falls, least, least, rises, full),
      channel(rises, full, full, falls, least, least),
      channel(least, least, rises, full, full, falls),
    ],
    axis=-1,
  )


def _divided(x: jax.Array, scale: int, by: jax.Array) -> jax.Array:
  """`x * scale / by` as a whole number, in OpenCV's 12-bit arithmetic."""
  by = by.astype(jnp.float32)
  inverse = jnp.where(by > 0, jnp.rint((scale << 12) / by), 0)
  return (x * inverse.astype(jnp.int32) + 2048) >> 12
