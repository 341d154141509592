"""Which lowering a convolution gets: by measurement, or else by a rule.

`table.json` has what was measured, `{"rows": [row, ...]}`, where a row is

    {"backend": "gpu", "kind": "dense", "stride": 1, "rate": 2,
     "channels": 1024, "map": 64, "train": true,
     "lowering": "space_to_batch", "milliseconds": {"xla": 1.0, ...}}

`backend` is a platform of jax or, which is looked for first, the name of one
kind of device (`jax.Device.device_kind`). `rate`, `channels` (of the input)
and `map` (the root of height times width) stand for all numbers above those of
the class before: see `Shape`. `launch/benchmark.py --what=ops --write` fills
the table with the fastest of all lowerings that apply.

Where the table has no row for a convolution, this rule decides:

1. a 1x1 kernel is a matrix product: `point`;
2. depthwise kernels are `depthwise_cpu` on a CPU, and `depthwise_shifted`
   elsewhere at rates above 1;
3. larger dense kernels are `dense_cpu` on a CPU;
4. on a GPU, other atrous kernels of stride 1 and rates 2 to 8 are
   `space_to_batch`;
5. anything else is `xla`.

It follows the figures of the first prototypes, on a CPU and an H100.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from deeplax.ops import lowerings
from deeplax.ops.lowerings import space_to_batch
from deeplax.ops.lowerings.window import Window

TABLE = pathlib.Path(__file__).with_name('table.json')
# Largest numbers of the classes; the last has all that are larger, too.
RATES = (1, 2, 4, 8, 16)
CHANNELS = (16, 64, 256, 1024, 4096)
MAPS = (16, 32, 64, 128, 256)


@dataclasses.dataclass(frozen=True)
class Shape:
  """What convolutions that are measured as one have in common.

  Attributes:
    kind: Of `Window.kind`.
    stride: Step between output pixels.
    rate: Of `RATES`.
    channels: Of `CHANNELS`.
    map: Of `MAPS`.
    train: Whether the gradients are computed, too.
  """

  kind: str
  stride: int
  rate: int
  channels: int
  map: int
  train: bool


def shape_of(
  window: Window, height: int, width: int, *, train: bool = False
) -> Shape:
  """The class of a convolution of pictures of `height` times `width`."""
  return Shape(
    window.kind,
    window.stride,
    _class(window.rate, RATES),
    _class(window.inputs, CHANNELS),
    _class((height * width) ** 0.5, MAPS),
    train,
  )


def choose(
  window: Window,
  height: int,
  width: int,
  *,
  train: bool = False,
  rows: Mapping[tuple[str, Shape], str] | None = None,
  backends: tuple[str, ...] | None = None,
) -> str:
  """Names the lowering for a convolution.

  Args:
    window: The convolution.
    height, width: Of the picture.
    train: Whether gradients will be asked for.
    rows: As `read` returns them; by default those of `TABLE`.
    backends: Kind of device and platform; by default those jax uses.

  Returns:
    A key of `lowerings.TABLE` that applies.
  """
  rows = read() if rows is None else rows
  backends = current_backends() if backends is None else backends
  shape = shape_of(window, height, width, train=train)
  for backend in backends:
    name = rows.get((backend, shape))
    # A class may hold a window that its fastest lowering can't compute.
    if name and lowerings.TABLE[name].applies(window):
      return name
  return _rule(window, backends[-1])


def current_backends() -> tuple[str, str]:
  """Kind of device and platform of what jax computes on."""
  return jax.devices()[0].device_kind, jax.default_backend()


def _rule(window: Window, platform: str) -> str:
  if window.kind == 'point':
    return 'point'
  if window.kind == 'depthwise' and platform == 'cpu':
    return 'depthwise_cpu'
  if window.kind == 'depthwise' and window.rate > 1:
    return 'depthwise_shifted'
  if window.kind == 'dense' and platform == 'cpu':
    return 'dense_cpu'
  if platform == 'gpu' and space_to_batch.applies(window):
    return 'space_to_batch'
  return 'xla'


@functools.cache
def read(path: pathlib.Path = TABLE) -> dict[tuple[str, Shape], str]:
  """Reads a table, once.

  Returns:
    The lowering by backend and shape.

  Raises:
    ValueError: With the file, the row and what is wrong with it.
  """
  rows = {}
  for number, row in enumerate(load(path)):
    where = f'{path}, row {number} ({row})'
    keys = {f.name: f.type for f in dataclasses.fields(Shape)}
    for key, kind in {**keys, 'backend': str, 'lowering': str}.items():
      if not isinstance(row, dict) or type(row.get(key)) is not kind:
        raise ValueError(f'{where}: {key!r} must be there, a {kind.__name__}.')
    for key, classes in (
      ('rate', RATES),
      ('channels', CHANNELS),
      ('map', MAPS),
    ):
      if row[key] not in classes:
        raise ValueError(f'{where}: {key!r} must be one of {classes}.')
    if row['lowering'] not in lowerings.TABLE:
      raise ValueError(
        f"{where}: 'lowering' must be one of {', '.join(lowerings.TABLE)}."
      )
    key = row['backend'], Shape(**{key: row[key] for key in keys})
    if key in rows:
      raise ValueError(f'{where}: there is a row of this shape already.')
    rows[key] = row['lowering']
  return rows


def load(path: pathlib.Path = TABLE) -> list[dict[str, Any]]:
  """The rows of a table as they stand, milliseconds included.

  Raises:
    ValueError: It is no table.
  """
  try:
    table = json.loads(path.read_text())
  except ValueError as error:
    raise ValueError(f'{path} is not JSON: {error}') from error
  if not isinstance(table, dict) or not isinstance(table.get('rows'), list):
    raise ValueError(f'{path} must be of the form {{"rows": [...]}}.')
  return table['rows']


def _class(number: float, classes: tuple[int, ...]) -> int:
  """The first that is not below `number`, or else the last."""
  return next((c for c in classes if c >= number), classes[-1])
