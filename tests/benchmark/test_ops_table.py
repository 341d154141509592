"""The table of lowerings is filled with what was measured."""

import pytest

from deeplax import cost
from deeplax.benchmark.ops import benchmark_ops
from deeplax.benchmark.ops_cases import CASES, Case
from deeplax.ops.lowerings import choice

KINDS = (
  Case('dense', 3, 8, 2, rate=2),
  Case('depthwise', 4, 8, 4, rate=2),
  Case('dense_stage', 8, 4, 2, rate=2),
  Case('depthwise_stage', 4, 4, 4, rate=2),
  Case('aspp', 4, 4, 2, rate=18),
)


@pytest.fixture
def table(tmp_path):
  path = tmp_path / 'table.json'
  path.write_text('{"rows": []}')
  return path


def test_every_case_has_rows_that_are_chosen(table):
  result = benchmark_ops(
    write=True, path=table, cases=KINDS, repeats=1, log=lambda line: None
  )
  rows = choice.read(table)
  assert len(result['rows']) == len(rows) == 2 * len(KINDS)
  for row in result['rows']:
    assert row['backend'] == 'cpu'
    assert row['lowering'] in row['milliseconds']
    assert len(row['milliseconds']) >= 2
    assert all(ms > 0 for ms in row['milliseconds'].values())
  for case in KINDS:
    for train in (False, True):
      assert choice.look_up(case.shape(train), rows=rows, backends=('cpu',))


def test_cases_are_of_different_shapes():
  shapes = [case.shape(train=True) for case in CASES]
  assert len(set(shapes)) == len(shapes)


def test_the_fastest_wins_by_a_margin_and_other_rows_stay(table, monkeypatch):
  def measure(function, *arguments, repeats):
    del function, arguments, repeats
    return cost.Cost(9.0, next(order), 9.0, None)

  monkeypatch.setattr(cost, 'measure', measure)

  def written(case, *milliseconds):
    nonlocal order
    order = iter(milliseconds * 2)
    benchmark_ops(write=True, path=table, cases=[case], log=lambda line: None)
    rows = choice.read(table)
    return rows['cpu', case.shape(True)], len(rows)

  order = iter(())
  # Forward, then with gradients, of off and on; the rule says off.
  stage = KINDS[2]
  assert written(stage, 1.0, 0.97) == ('off', 2)
  assert written(stage, 1.0, 0.9) == ('on', 2)
  assert written(KINDS[3], 1.0, 2.0) == ('off', 4)
