"""Scores for every pixel of a picture of any size: scales, mirror, windows.

Pure functions around a network `apply(image) -> logits`; nothing here knows a
model. `apply` takes float32[B, h, w, 3] (0..255 RGB) or uint8 of the same shape
and gives float[B, h', w', K] at its own stride.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from deeplax.ops.resize import Grid, resize, scaled_size
from deeplax.ops.tiles import CLASSES, Tiled, is_enlarged, map_tiles

Apply = Callable[[jax.Array], jax.Array]


def predict_logits(
  apply: Apply,
  image: jax.Array,
  *,
  out_size: tuple[int, int] | None = None,
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  align_corners: bool = False,
  half_pixel_centers: bool = True,
  window: tuple[int, int] | None = None,
) -> jax.Array:
  """Logits of one view, or the log of the mean softmax of several.

  Either way softmax(result) are probabilities and argmax the prediction, so
  that losses and metrics need not know which it was. Several views (scales,
  each with its mirror image) are averaged after softmax, at full size.

  Args:
    apply: The network.
    image: uint8 or float[B, H, W, 3].
    out_size: (height, width) of the result; default: that of the image.
    scales: Factors on the image size, see `scaled_size`.
    flip: Adds the mirror image of every scale.
    align_corners, half_pixel_centers: How image and logits are resampled, see
      `ops.resize`.
    window: (height, width): each view is cut into overlapping windows of this
      size, see `sliding_window`; None looks at the whole picture at once.

  Returns:
    float[B, *out_size, K]; memory is about 3 times that of the result.

  Raises:
    ValueError: No scale, or one that isn't a positive number.
  """
  scales = check_scales(scales)
  grid = Grid(align_corners, half_pixel_centers)
  out_size = tuple(image.shape[1:3]) if out_size is None else tuple(out_size)
  if window is not None:
    whole = apply

    def apply(x):
      return sliding_window(whole, x, window, **grid._asdict())

  def full_size(view):
    return grid.resize(apply(view), out_size)

  views = [scale_image(image, s, align_corners=align_corners) for s in scales]
  if len(views) == 1 and not flip:
    return full_size(views[0])

  total = 0.0
  for view in views:
    if not flip:
      total += jax.nn.softmax(full_size(view))
      continue

    # Mirrored or not is data: the network is compiled once a scale.
    def add(total, mirrored, view=view):
      logits = full_size(jnp.where(mirrored, view[:, :, ::-1], view))
      logits = jnp.where(mirrored, logits[:, :, ::-1], logits)
      return total + jax.nn.softmax(logits), None

    kind = jax.eval_shape(full_size, view)
    total = total + jnp.zeros(kind.shape, kind.dtype)
    total, _ = jax.lax.scan(add, total, jnp.array([False, True]))
  probs = total / (len(scales) * (2 if flip else 1))
  # A probability that underflowed has a finite logarithm, and loss.
  return jnp.log(jnp.maximum(probs, jnp.finfo(probs.dtype).tiny))


def predict_probs(apply: Apply, image: jax.Array, **options) -> jax.Array:
  """Probabilities float[B, H, W, K]; arguments as in `predict_logits`."""
  return jax.nn.softmax(predict_logits(apply, image, **options))


def predict_labels(
  apply: Apply,
  image: jax.Array,
  *,
  out_size: tuple[int, int] | None = None,
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  align_corners: bool = False,
  half_pixel_centers: bool = True,
  window: tuple[int, int] | None = None,
) -> jax.Array:
  """The likeliest class of every pixel; arguments as in `predict_logits`.

  A single view is worked on in tiles: its scores never exist at full size.

  Returns:
    uint8[B, *out_size].
  """
  out_size = tuple(image.shape[1:3] if out_size is None else out_size)
  grid = Grid(align_corners, half_pixel_centers)
  if is_single_view(scales, flip, window):
    image = scale_image(image, *scales, align_corners=align_corners)
    logits = apply(image)
    if is_enlarged(logits.shape[1:3], out_size):

      def tile(x):
        return Tiled(jnp.argmax(x, axis=CLASSES).astype(jnp.uint8))

      return map_tiles(tile, logits, grid=grid, size=out_size).maps
    logits = grid.resize(logits, out_size)
  else:
    logits = predict_logits(
      apply,
      image,
      out_size=out_size,
      scales=scales,
      flip=flip,
      **grid._asdict(),
      window=window,
    )
  return jnp.argmax(logits, axis=-1).astype(jnp.uint8)


def is_single_view(
  scales: Sequence[float], flip: bool, window: tuple[int, int] | None
) -> bool:
  """Whether the network looks once, at the whole picture."""
  return len(check_scales(scales)) == 1 and not flip and window is None


def check_scales(scales: Sequence[float]) -> tuple[float, ...]:
  """`scales` as a tuple; ValueError unless they are positive numbers."""
  scales = tuple(scales)
  bad = [s for s in scales if not (math.isfinite(s) and s > 0)]
  if bad or not scales:
    raise ValueError(
      f'scales are {scales}; expected one or more positive numbers, e.g. '
      '(0.5, 0.75, 1.0, 1.25, 1.5, 1.75).'
    )
  return scales


def scale_image(
  image: jax.Array, scale: float, *, align_corners: bool = False
) -> jax.Array:
  """Bilinear in JAX's float, without antialias; itself at scale 1."""
  size = scaled_size(image.shape[1:3], scale, align_corners=align_corners)
  if size == image.shape[1:3]:
    return image
  if not jnp.issubdtype(image.dtype, jnp.floating):
    image = image.astype(jnp.result_type(float))
  return resize(image, size, align_corners=align_corners)


def window_starts(size: int, window: int) -> list[int]:
  """First pixel of each window along an axis: evenly spread, ends included.

  Neighbours overlap by at least a third of a window. The last one ends with the
  picture; none reaches beyond it.
  """
  if window >= size:
    return [0]
  step = max(window * 2 // 3, 1)
  count = math.ceil((size - window) / step) + 1
  return [round(i * (size - window) / (count - 1)) for i in range(count)]


def sliding_window(
  apply: Apply,
  image: jax.Array,
  window: tuple[int, int],
  *,
  align_corners: bool = False,
  half_pixel_centers: bool = True,
) -> jax.Array:
  """Logits at image size, each window by itself, overlaps averaged.

  For pictures whose activations don't fit into memory: the network only ever
  sees [B, *window, 3]. The result, float[B, H, W, K], must fit.

  Args:
    apply: The network.
    image: [B, H, W, 3].
    window: (height, width); cut to the picture where that is smaller.
    align_corners, half_pixel_centers: How the logits of a window are brought
      to its size.
  """
  if min(window) < 1:
    raise ValueError(f'window is {tuple(window)}; expected two sizes above 0.')
  batch, *size, _ = image.shape
  size = tuple(size)
  window = tuple(min(w, n) for w, n in zip(window, size))
  grid = Grid(align_corners, half_pixel_centers)
  starts = jnp.array(
    [
      (y, x)
      for y in window_starts(size[0], window[0])
      for x in window_starts(size[1], window[1])
    ]
  )

  def look(view):
    return grid.resize(apply(view), window)

  def add(carry, start):
    total, count = carry
    y, x = start
    view = jax.lax.dynamic_slice(
      image, (0, y, x, 0), (batch, *window, image.shape[-1])
    )
    old = jax.lax.dynamic_slice(
      total, (0, y, x, 0), (batch, *window, total.shape[-1])
    )
    total = jax.lax.dynamic_update_slice(total, old + look(view), (0, y, x, 0))
    old = jax.lax.dynamic_slice(count, (y, x), window)
    count = jax.lax.dynamic_update_slice(count, old + 1, (y, x))
    return (total, count), None

  kind = jax.eval_shape(
    look, jax.ShapeDtypeStruct((batch, *window, image.shape[-1]), image.dtype)
  )
  total = jnp.zeros((batch, *size, kind.shape[-1]), kind.dtype)
  count = jnp.zeros(size, kind.dtype)
  (total, count), _ = jax.lax.scan(add, (total, count), starts)
  return total / count[None, :, :, None]
