"""The stereo camera of a picture, in the JSON files of Cityscapes."""

import math
import os

import numpy as np

from deeplax.data import files, json_text
from deeplax.data.errors import DataError


def read(path: str | os.PathLike) -> np.ndarray:
  """float64[2]: baseline in metres, horizontal focal length in pixels.

  Raises:
    DataError: The file can't be read, or has no such numbers above 0.
  """
  content = files.read_bytes(path)
  try:
    tree = json_text.parse(content)
    camera = tree['extrinsic']['baseline'], tree['intrinsic']['fx']
    baseline, focal = map(float, camera)
    if not (0 < baseline < math.inf and 0 < focal < math.inf):
      raise ValueError(f'baseline {baseline} and fx {focal} are not above 0')
  except (KeyError, TypeError, ValueError) as error:
    raise DataError(
      f'it is no camera file ({error!r}).',
      fix='Expected extrinsic.baseline in metres and intrinsic.fx in pixels; '
      'unpack camera_trainvaltest.zip again, or remove the folder `camera`.',
      file=str(path),
      kind='camera file',
    ) from error
  return np.array([baseline, focal])
