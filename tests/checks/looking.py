"""Pictures in pictures."""

import numpy as np


def is_in(image: np.ndarray, sheet: np.ndarray) -> bool:
  """Whether an image stands in a picture, pixel by pixel."""
  height, width = image.shape[:2]
  places = np.lib.stride_tricks.sliding_window_view(sheet, (1, width, 3))
  first_row = (places[..., 0, :, :] == image[0]).all((-1, -2))[..., 0]
  return any(
    np.array_equal(sheet[y : y + height, x : x + width], image)
    for y, x in np.argwhere(first_row)
  )
