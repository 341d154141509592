"""How pictures are normalised: (pixel - mean) / deviation, of 0..255 RGB."""

_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# name -> mean and deviation
NORMS = {
  'imagenet': _IMAGENET,  # weights of torchvision, timm, mmseg
  'symmetric': ((127.5,) * 3, (127.5,) * 3),  # 2x/255 - 1: TF Xception, beta
  'mean': ((123.15, 115.90, 103.06), (1.0,) * 3),  # TF slim's ResNet v1
  'vgg': ((123.68, 116.779, 103.939), (1.0,) * 3),  # the VGG authors', Keras
}


def parse(norm: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and deviation of the three channels.

  Args:
    norm: A name, or numbers: `'MEAN/DEVIATION'` with one number or three each,
      such as `'0/255'` or `'123.7,116.3,103.5/58'`.

  Raises:
    ValueError: It is none of these.
  """
  if norm in NORMS:
    return NORMS[norm]
  parts = []
  for text in norm.split('/'):
    try:
      numbers = tuple(float(number) for number in text.split(','))
    except ValueError:
      numbers = ()
    parts.append(numbers * 3 if len(numbers) == 1 else numbers)
  # A deviation of NaN is not above 0 either.
  good = len(parts) == 2 and all(len(numbers) == 3 for numbers in parts)
  if not good or not all(n > 0 for n in parts[1]):
    raise ValueError(
      f'`input_norm` (={norm!r}) must be one of {", ".join(NORMS)}, or '
      "'MEAN/DEVIATION' in 0..255 with one number or three each, as in '0/255' "
      'or "123.7,116.3,103.5/58.4,57.1,57.4", the deviation above 0.'
    )
  return tuple(parts)
