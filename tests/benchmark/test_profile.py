"""Profiles: which events count, what they add up to, where they are from."""

import jax
import jax.numpy as jnp
import pytest
from jax.profiler import ProfileData

from deeplax.benchmark import hlo, profile

HLO = """HloModule jit_f, is_scheduled=true

%fused_computation.1 (p0: f32[8], p1: f32[8]) -> f32[8] {
  %p0 = f32[8]{0} parameter(0)
  %add.1 = f32[8]{0} add(%p0, %p1), metadata={op_name="jit(f)/add" source_line=1}
  ROOT %mul.1 = f32[8]{0} multiply(%add.1, %p1), metadata={op_name="jit(f)/mul"}
}

ENTRY %main.7 (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %while.2 = (s32[], /*index=1*/f32[8]{0:T(8,128)}) while(%t), body=%b, metadata={op_name="jit(f)/while"}
  %fusion.1 = f32[8]{0} fusion(%x, %x), kind=kLoop, calls=%fused_computation.1
  ROOT dot.3 = f32[8]{0:T(8,128)} dot(%x, %x), metadata={op_name="jit(f)/dot"}
}
"""  # noqa: E501


def test_hlo():
  found = hlo.read(HLO)
  assert found['while.2'] == ('while', 'jit(f)/while')
  assert found['dot.3'] == ('dot', 'jit(f)/dot')
  # It does not say where it is from: the last of what it does says so.
  assert found['fusion.1'] == ('fusion', 'jit(f)/mul')
  assert found['x'] == ('parameter', '')


def plane(name, lines):
  """Text of a plane: lines of events (kernel, instruction, microseconds)."""
  events = {e for _, found in lines for e in found}
  number = {e: i for i, e in enumerate(sorted(events), 1)}
  text = f'planes {{ name: "{name}"\n'
  text += 'stat_metadata { key: 1 value { id: 1 name: "hlo_op" } }\n'
  for (kernel, _, _), i in number.items():
    text += (
      f'event_metadata {{ key: {i} value {{ id: {i} name: "{kernel}" }} }}\n'
    )
  for title, found in lines:
    text += f'lines {{ name: "{title}"\n'
    for event in found:
      stat = ''
      if event[1]:
        stat = f'stats {{ metadata_id: 1 str_value: "{event[1]}" }}'
      text += (
        f'events {{ metadata_id: {number[event]} '
        f'duration_ps: {event[2] * 1_000_000} {stat} }}\n'
      )
    text += '}\n'
  return text + '}\n'


DOT = ('sm90_gemm', 'dot.3', 30)
HOST = plane(
  '/host:CPU',
  [('threads', [('Thunk', 'dot.3', 999), ('nobody', '', 5)])],
)
LOOP = ('while.2', 'while.2', 40)


@pytest.mark.parametrize(
  'text, expected',
  [
    # A GPU: the kernels of its streams, whatever the host says of them.
    (
      HOST
      + plane(
        '/device:GPU:0',
        [
          ('Stream #7', [DOT, ('loop_fusion', 'fusion.1', 10)]),
          ('Stream #8', [DOT, ('memset', '', 10)]),
          ('XLA Ops', [DOT]),
          ('XLA Modules', [('jit_f', '', 500)]),
        ],
      ),
      {'dot.3': (0.03, 0.75, 1), 'fusion.1': (0.005, 0.125, 0.5)}
      | {'memset': (0.005, 0.125, 0.5)},
    ),
    # A TPU has no streams.
    (
      HOST + plane('/device:TPU:0', [('XLA Ops', [DOT]), ('Steps', [LOOP])]),
      {'dot.3': (0.015, 1.0, 0.5)},
    ),
    # A CPU: what has an instruction, and does not hold others.
    (
      plane(
        '/host:CPU',
        [('a', [LOOP, DOT, ('end: dot.3', '', 7)]), ('b', [DOT])],
      ),
      {'dot.3': (0.03, 1.0, 1.0)},
    ),
  ],
)
def test_which_events_count(text, expected):
  rows = profile.table(ProfileData.from_text_proto(text), HLO, steps=2, rows=9)
  found = {
    row['name']: (row['milliseconds'], row['share'], row['calls'])
    for row in rows
  }
  assert found == expected
  assert rows[0]['op_name'] == 'jit(f)/dot'
  assert rows[0]['kernel'] == 'sm90_gemm'


def test_the_largest_come_first():
  text = plane('/device:GPU:0', [('Stream #1', [('a', '', 1), ('b', '', 3)])])
  data = ProfileData.from_text_proto(text)
  rows = profile.table(data, '', steps=1, rows=1)
  assert [row['name'] for row in rows] == ['b'] and rows[0]['share'] == 0.75


def test_live():
  @jax.jit
  def function(x):
    with jax.named_scope('the_product'):
      y = jax.lax.fori_loop(0, 3, lambda _, y: y @ y, x)
    return jnp.sum(y)

  x = jnp.ones((64, 64)) / 64
  compiled = function.lower(x).compile()
  rows = profile.top_kernels(lambda: compiled(x), compiled, steps=2)
  assert sum(row['share'] for row in rows) == pytest.approx(1, abs=1e-2)
  products = [r for r in rows if r['op_name'].endswith('dot_general')]
  assert sum(r['calls'] for r in products) == 3  # those of a loop's body, too
  assert all('the_product' in r['op_name'] for r in products)
  assert all(r['milliseconds'] > 0 for r in products)
