"""Measures which lowering is the fastest here, for `lowerings/table.json`."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deeplax import cost
from deeplax.benchmark.machine import load, machine
from deeplax.benchmark.ops_cases import CASES, Case
from deeplax.models.encoders import resnet, xception
from deeplax.models.heads import aspp
from deeplax.models.options import Options
from deeplax.ops import conv, lowerings
from deeplax.ops.lowerings import choice
from deeplax.ops.lowerings.window import Window

# Others must be faster by this to replace what the rule says: noise is not to
# be written down.
MARGIN = 0.05


def benchmark_ops(
  *,
  write: bool = False,
  path: pathlib.Path = choice.TABLE,
  cases: Iterable[Case] = CASES,
  batch_size: int = 1,
  repeats: int = 5,
  log: Callable[[str], None] = print,
) -> dict[str, Any]:
  """Measures all ways to compute each case, forward and with gradients.

  In float32 on a CPU, in bfloat16 elsewhere. A row has the fastest, or what
  the rule of `choice` says if that is slower by less than `MARGIN`.

  Args:
    write: Whether the rows go into the table, in place of those of the same
      backend and shape.
    path: Of the table.
    cases: What to measure.
    batch_size: Pictures.
    repeats: Calls of which the fastest counts: other work on the machine can
      only add to it.
    log: Told every row.

  Returns:
    `'rows'`, as in the table, and what they were measured on.
  """
  before = load()
  rows = []
  for case in cases:
    for train in (False, True):
      rows.append(_row(case, train, batch_size, repeats))
      log(json.dumps(rows[-1]))
  if write:
    new = {_key(row): row for row in rows}
    kept = {_key(row): row for row in choice.load(path)}
    _write({**kept, **new}, path)
  return {
    'what': 'ops',
    'rows': rows,
    'batch_size': batch_size,
    'load_before': before,
    'device': jax.devices()[0].device_kind,
    **machine('jax', 'jaxlib'),
  }


def _row(case: Case, train: bool, batch: int, repeats: int) -> dict[str, Any]:
  times = {
    name: cost.measure(
      _with_gradients(function) if train else function,
      *arguments,
      repeats=repeats,
    ).fastest
    for name, function, arguments in _ways(case, train, batch)
  }
  fastest = min(times, key=times.get)
  rule = _by_rule(case, train)
  if rule in times and times[rule] * (1 - MARGIN) <= times[fastest]:
    fastest = rule
  return {
    'backend': jax.default_backend(),
    **dataclasses.asdict(case.shape(train)),
    'lowering': fastest,
    'milliseconds': {name: round(ms, 3) for name, ms in times.items()},
  }


def _with_gradients(function):
  def run(*arguments):
    y, vjp = jax.vjp(function, *arguments)
    return y, vjp(y)

  return run


def _by_rule(case: Case, train: bool) -> str:
  """What is chosen without a table."""
  if case.kind == 'aspp':
    return choice.choose_aspp(
      (case.rate,), case.map, case.map, case.channels, train=train, rows={}
    )
  if case.kind.endswith('_stage'):
    return choice.choose_stage(
      case.rate,
      case.map,
      case.map,
      case.channels,
      train=train,
      depthwise=case.kind == 'depthwise_stage',
      rows={},
    )
  return choice.choose(_window(case), case.map, case.map, train=train, rows={})


def _window(case: Case) -> Window:
  pad = (case.rate * (case.size // 2),) * 2
  return Window(
    size=(case.size,) * 2,
    stride=case.stride,
    rate=case.rate,
    groups=case.channels if case.kind == 'depthwise' else 1,
    inputs=case.channels,
    outputs=case.outputs,
    rows=pad,
    columns=pad,
  )


def _ways(case: Case, train: bool, batch: int):
  """Yields names, functions and their arguments."""
  dtype = jnp.float32 if jax.default_backend() == 'cpu' else jnp.bfloat16
  rng = np.random.default_rng(0)
  x = jnp.asarray(
    rng.standard_normal((batch, case.map, case.map, case.channels)), dtype
  )
  if case.kind.endswith('_stage') or case.kind == 'aspp':
    for name in choice.CHOICES[case.kind]:
      model = _module(case, name, str(jnp.dtype(dtype)))
      variables = model.init(jax.random.key(0), x, train=False)
      yield name, _apply(model, train), (variables, x)
    return
  window = _window(case)
  kernel = rng.standard_normal(
    (case.size, case.size, case.channels // window.groups, case.outputs)
  )
  for name in lowerings.applicable(window):
    # Interpreted, it takes minutes, and can't be the fastest.
    if name == 'pallas_depthwise' and jax.default_backend() != 'gpu':
      continue

    def function(x, kernel, name=name):
      return conv.conv(
        x,
        kernel,
        stride=case.stride,
        rate=case.rate,
        groups=window.groups,
        lowering=name,
      )

    yield name, function, (x, jnp.asarray(kernel, dtype))


def _module(case: Case, name: str, dtype: str) -> Any:
  """Two units of a stage, or a pyramid."""
  if case.kind == 'aspp':
    rates = tuple(case.rate * n // 3 for n in (1, 2, 3))
    options = Options(19, atrous_rates=rates, dtype=dtype, aspp_lowering=name)
    return aspp.build(dataclasses.replace(options, head_channels=case.outputs))
  style = Options(19, dtype=dtype, space_to_batch=name).encoder_style
  if case.kind == 'dense_stage':
    plan = resnet.UnitPlan(1, 2, case.rate, case.rate)
    return resnet.Stage(case.outputs, (plan,) * 2, True, False, style)
  rates = (case.rate,) * 3
  plan = xception.UnitPlan((case.outputs,) * 3, 'none', 1, rates)
  return xception.Flow((plan,) * 2, False, style)


def _apply(model: Any, train: bool):
  def function(variables, x):
    y = model.apply(
      variables,
      x,
      train=train,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )[0]
    return y[0] if isinstance(y, tuple) else y

  return function


def _key(row: dict[str, Any]) -> tuple:
  names = ['backend', *(f.name for f in dataclasses.fields(choice.Shape))]
  return tuple(row[name] for name in names)


def _write(rows: dict[tuple, dict[str, Any]], path: pathlib.Path) -> None:
  """One row a line, in order, so that differences can be read."""
  lines = ',\n'.join(f'  {json.dumps(rows[key])}' for key in sorted(rows))
  path.write_text(f'{{"rows": [\n{lines}\n]}}\n')
  choice.read.cache_clear()
