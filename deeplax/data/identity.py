"""What tells one source from another, without reading all of it."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplax.data.durable import to_json
from deeplax.data.errors import DataError
from deeplax.data.info import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Identity:
  """A source as far as a few of its examples show.

  Attributes:
    plan: Name, length and fingerprint, for a `Journal`.
    samples: The examples that were read.
  """

  plan: dict[str, Any]
  samples: tuple[dict[str, Any], ...]

  @property
  def length(self) -> int:
    return self.plan['length']

  @property
  def fingerprint(self) -> str:
    return self.plan['fingerprint']

  def total(self, sizes: Sequence[int]) -> int:
    """Bytes of the whole from those of the samples, with a little room."""
    return int(1.05 * self.length * sum(sizes) / len(sizes))


def identify(source, info: DatasetInfo, extras: Sequence[str] = ()) -> Identity:
  """Reads five examples, evenly spaced.

  The fingerprint covers the class table, the number of examples, and the ids,
  pictures and labels of those five.

  Args:
    source: A `deeplax.data.Source`.
    info: Its class table.
    extras: Names of its extra arrays.

  Raises:
    DataError: It is empty, or an example is not as the contract says.
  """
  length = len(source)
  if not length:
    raise DataError(
      f'{info.name}: the split is empty, there is nothing to prepare.',
      fix='Check the folder and the name of the split.',
      kind='empty',
    )
  digest = hashlib.sha256(to_json([info.to_json(), length, list(extras)]))
  samples = []
  for i in sorted({round(k * (length - 1) / 4) for k in range(5)}):
    example = checked(source[i], i)
    digest.update(to_json([example['id'], list(example['label'].shape)]))
    for key in ('image', 'label', *extras):
      digest.update(np.ascontiguousarray(example[key]))
    samples.append(example)
  plan = {
    'dataset': info.name,
    'length': length,
    'extras': list(extras),
    'fingerprint': digest.hexdigest(),
  }
  return Identity(plan, tuple(samples))


def checked(example: dict[str, Any], index: int) -> dict[str, Any]:
  """The example, if image and label are what a source promises.

  Raises:
    DataError: Another type or shape.
  """
  image, label = example['image'], example['label']
  good = (
    image.dtype == label.dtype == np.uint8
    and image.shape == (*label.shape, 3)
    and label.ndim == 2
  )
  if not good:
    raise DataError(
      f'example {index} ({example["id"]}) has an image {image.dtype}'
      f'{list(image.shape)} and a label {label.dtype}{list(label.shape)}; '
      'expected uint8[H, W, 3] and uint8[H, W] of one size.',
      fix='Correct the source.',
      kind='size mismatch',
    )
  return example
