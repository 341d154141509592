"""How far every pixel is from a pixel of another label."""

import cv2
import numpy as np

# Farther than any picture is wide; a picture of one label has no contour.
FAR = 2**24


def distance(labels: np.ndarray, *, border: int | None = None) -> np.ndarray:
  """Pixels from each pixel to the nearest one with another label.

      d(x) = min over y with labels[y] != labels[x] of
             max(|x_row - y_row|, |x_column - y_column|)

  so that d(x) <= r says that the square of 2 r + 1 pixels around x holds more
  than one label: x is removed by r erosions with 3 x 3, of whatever mask of
  one label it is in.

  Args:
    labels: uint8[H, W].
    border: The label of what lies around the picture; None: there is nothing.

  Returns:
    float32[H, W], whole numbers from 1; `FAR` where there is no other label.
  """
  if border is not None:
    labels = cv2.copyMakeBorder(
      labels, *[1] * 4, cv2.BORDER_CONSTANT, value=border
    )
  # Where there is another label in the 3 x 3 around, d is 1. From there on it
  # grows by 1 a pixel: the way to a nearest y leaves the label of x only once,
  # and from a pixel with d = 1.
  square = np.ones((3, 3), np.uint8)
  edge = cv2.erode(labels, square) != cv2.dilate(labels, square)
  if edge.any():
    inside = np.where(edge, np.uint8(0), np.uint8(1))
    result = cv2.distanceTransform(inside, cv2.DIST_C, 3) + 1
  else:
    result = np.full(labels.shape, FAR, np.float32)
  return result if border is None else result[1:-1, 1:-1]
