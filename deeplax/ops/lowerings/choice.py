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
3. larger dense kernels are `dense_cpu` on a CPU, but `winograd` if they are
   3x3 at stride 1, have enough channels that its products outweigh its passes
   over memory, and its tiles fit the picture;
4. on a GPU, other atrous kernels of stride 1 and rates 2 to 8 are
   `space_to_batch`;
5. anything else is `xla`.

Whole stages of an encoder have rows of their own, of the kinds `dense_stage`
and `depthwise_stage`: `on` or `off` for the layout of `ops/layout.py`; `rate`
is that of the layout. Without a row it is on for rates 2 to 8 on a GPU.

So have the dense branches of an atrous pyramid, of the kind `aspp`, the
largest of their rates counting: `convolutions`, or products as in
`ops/aspp.py`, `one_product` for all or `branch_products`, one each. Without a
row it is `one_product` on a GPU.

The rules follow the figures of the first prototypes, on a CPU and an H100;
that for `winograd` trials on two cores of an AMD EPYC.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from deeplax.ops import lowerings
from deeplax.ops.lowerings import space_to_batch, winograd
from deeplax.ops.lowerings.window import Window

# What may be chosen for each kind.
CHOICES = {
  **dict.fromkeys(('point', 'dense', 'depthwise', 'grouped'), lowerings.TABLE),
  **dict.fromkeys(('dense_stage', 'depthwise_stage'), ('off', 'on')),
  'aspp': ('convolutions', 'branch_products', 'one_product'),
}
TABLE = pathlib.Path(__file__).with_name('table.json')
# Largest numbers of the classes; the last has all that are larger, too.
RATES = (1, 2, 4, 8, 16)
CHANNELS = (16, 64, 256, 1024, 4096)
MAPS = (8, 16, 32, 64, 128, 256)


@dataclasses.dataclass(frozen=True)
class Shape:
  """What convolutions that are measured as one have in common.

  Attributes:
    kind: Of `CHOICES`.
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
  kind: str,
  height: int,
  width: int,
  channels: int,
  *,
  rate: int,
  train: bool,
  stride: int = 1,
) -> Shape:
  """The class of what has pictures of `height` times `width` as its input."""
  return Shape(
    kind,
    stride,
    _class(rate, RATES),
    _class(channels, CHANNELS),
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
  backends = current_backends() if backends is None else backends
  shape = shape_of(
    window.kind,
    height,
    width,
    window.inputs,
    rate=window.rate,
    train=train,
    stride=window.stride,
  )
  name = look_up(shape, rows=rows, backends=backends)
  # A class may hold a window that its fastest lowering can't compute.
  if name and lowerings.TABLE[name].applies(window):
    return name
  return _rule(window, height, width, backends[-1], train)


def choose_stage(
  rate: int,
  height: int,
  width: int,
  channels: int,
  *,
  train: bool,
  depthwise: bool,
  rows: Mapping[tuple[str, Shape], str] | None = None,
) -> str:
  """Says `'on'` or `'off'` to a stage in the layout of `rate`.

  Args:
    rate: Of the layout.
    height, width, channels: Of the stage's input.
    train: Whether gradients will be asked for.
    depthwise: Whether its kernels above 1x1 are depthwise.
    rows: As of `choose`.
  """
  if rate > space_to_batch.LARGEST_RATE:
    return 'off'
  kind = 'depthwise_stage' if depthwise else 'dense_stage'
  shape = shape_of(kind, height, width, channels, rate=rate, train=train)
  found = look_up(shape, rows=rows)
  return found or ('on' if jax.default_backend() == 'gpu' else 'off')


def choose_aspp(
  rates: tuple[int, ...],
  height: int,
  width: int,
  channels: int,
  *,
  train: bool,
  rows: Mapping[tuple[str, Shape], str] | None = None,
) -> str:
  """Names one of `CHOICES['aspp']`.

  Args:
    rates: Of the branches.
    height, width, channels: Of their input.
    train: Whether gradients will be asked for.
    rows: As of `choose`.
  """
  shape = shape_of(
    'aspp', height, width, channels, rate=max(rates), train=train
  )
  found = look_up(shape, rows=rows)
  gpu = jax.default_backend() == 'gpu'
  return found or ('one_product' if gpu else 'convolutions')


def look_up(
  shape: Shape,
  *,
  rows: Mapping[tuple[str, Shape], str] | None = None,
  backends: tuple[str, ...] | None = None,
) -> str | None:
  """What the table has for a shape, if anything; arguments as of `choose`."""
  rows = read() if rows is None else rows
  backends = current_backends() if backends is None else backends
  found = (rows.get((backend, shape)) for backend in backends)
  return next((name for name in found if name), None)


def current_backends() -> tuple[str, str]:
  """Kind of device and platform of what jax computes on."""
  return jax.devices()[0].device_kind, jax.default_backend()


def _rule(
  window: Window, height: int, width: int, platform: str, train: bool
) -> str:
  if window.kind == 'point':
    return 'point'
  if window.kind == 'depthwise' and platform == 'cpu':
    return 'depthwise_cpu'
  if window.kind == 'depthwise' and window.rate > 1:
    return 'depthwise_shifted'
  if window.kind == 'dense' and platform == 'cpu':
    pays = winograd.pays(window, height, width, train=train)
    return 'winograd' if pays else 'dense_cpu'
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
    if row['kind'] not in CHOICES:
      raise ValueError(f"{where}: 'kind' must be one of {', '.join(CHOICES)}.")
    choices = CHOICES[row['kind']]
    if row['lowering'] not in choices:
      raise ValueError(
        f"{where}: 'lowering' must be one of {', '.join(choices)}."
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
