"""Whether the JSON of an evaluation holds what a page is made of.

Each function raises KeyError, TypeError or ValueError where it does not.
"""

import math
from collections.abc import Mapping
from typing import Any

from deeplax.measures import calibration, depth, trimap

_COUNTS = ('pictures', 'skipped', 'devices', 'processes', 'step')
_TEXTS = ('split', 'written', 'device')


def check_result(result: Mapping[str, Any]) -> None:
  """What stands around the figures."""
  for key in _COUNTS:
    if type(result[key]) is not int:
      raise TypeError(f'`{key}` is no whole number')
  for key in _TEXTS:
    if type(result[key]) is not str:
      raise TypeError(f'`{key}` is no text')
  if not all(isinstance(result[k], dict) for k in ('versions', 'measures')):
    raise TypeError('`versions` or `measures` is no object')
  cost = result['cost']
  if cost is not None:
    for key in ('milliseconds', 'fastest', 'slowest', 'memory'):
      value = cost[key]
      known = isinstance(value, (int, float)) and math.isfinite(value)
      if not (known or (key == 'memory' and value is None)):
        raise ValueError(f'`cost.{key}` is {value!r}')


def check_measures(measures: Mapping[str, Any], num_classes: int) -> None:
  """The figures of `Measures`, null as NaN."""
  boundary, curve = measures['boundary'], measures['trimap']
  _shares('boundary', boundary, ('ratio', 'miou'), (), 0)
  _shares('boundary', boundary, (), ('iou',), num_classes)
  _shares('trimap', curve, (), ('miou',), trimap.WIDEST)
  if curve['radius'] != list(range(1, trimap.WIDEST + 1)):
    raise ValueError('`trimap.radius` is not 1, 2, ...')
  found = measures['calibration']
  bins = ('accuracy', 'confidence')
  _shares('calibration', found, ('ece',), bins, calibration.BINS)
  _pixels('calibration', found, calibration.BINS)
  found = measures['distance']
  if found is not None:
    _shares('distance', found, (), ('miou',), depth.BANDS)
    _pixels('distance', found, depth.BANDS)
    ends = [0.0, *depth.EDGES], [*depth.EDGES, None]
    if (found['from'], found['to']) != ends or len(found['iou']) != depth.BANDS:
      raise ValueError('`distance` has other bands')
    for iou in found['iou']:
      _shares('distance', {'iou': iou}, (), ('iou',), num_classes)


def share(value: Any) -> float:
  """A number from 0 to 1, or NaN for null."""
  value = math.nan if value is None else value
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    raise TypeError(f'{value!r} is no number')
  if not (math.isnan(value) or 0 <= value <= 1):
    raise ValueError(f'{value} is not from 0 to 1')
  return float(value)


def _shares(where, found, numbers, lists, length):
  for key in numbers:
    share(found[key])
  for key in lists:
    if not isinstance(found[key], list) or len(found[key]) != length:
      raise ValueError(f'`{where}.{key}` has not {length} numbers')
    for value in found[key]:
      share(value)


def _pixels(where, found, length):
  pixels = found['pixels']
  fits = (
    isinstance(pixels, list)
    and len(pixels) == length
    and all(type(n) is int and 0 <= n < 2**63 for n in pixels)
  )
  if not fits or (where == 'distance' and not any(pixels)):
    raise ValueError(f'`{where}.pixels` has not {length} counts')
