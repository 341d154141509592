"""The plan of strides and rates, against the published ones."""

import pytest

from deeplax.models import atrous
from deeplax.models.encoders import resnet
from deeplax.models.options import Options


@pytest.mark.parametrize(
  'output_stride, strides, rates_in, rates',
  [
    (32, (2, 2, 1, 2, 2, 2), (1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1)),
    (16, (2, 2, 1, 2, 2, 1), (1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 2)),
    (8, (2, 2, 1, 2, 1, 1), (1, 1, 1, 1, 1, 2), (1, 1, 1, 1, 2, 4)),
  ],
)
def test_plan(output_stride, strides, rates_in, rates):
  plan = atrous.plan((2, 2, 1, 2, 2, 2), output_stride)
  assert tuple(s.stride for s in plan) == strides
  assert tuple(s.rate_in for s in plan) == rates_in
  assert tuple(s.rate for s in plan) == rates


def test_output_strides_that_do_not_exist():
  with pytest.raises(ValueError, match=r'`output_stride` \(=7\)'):
    atrous.plan((2, 2, 2), 7)
  with pytest.raises(ValueError, match='give 4'):
    atrous.plan((2, 2), 8)


def test_scale_rates():
  assert atrous.scale_rates((6, 12, 18), 16) == (6, 12, 18)
  assert atrous.scale_rates((6, 12, 18), 8) == (12, 24, 36)
  assert atrous.scale_rates([6, 12, 18], 32) == (3, 6, 9)
  with pytest.raises(ValueError, match=r'\(=\(3, 6, 9\)\).*1\.5'):
    atrous.scale_rates((3, 6, 9), 32)
  with pytest.raises(ValueError, match='at least 1'):
    atrous.scale_rates((0, 6, 9), 16)


def middle_rates(variant, output_stride, multi_grid=()):
  """Stride and rate of the 3x3 of each bottleneck, stages 2 to 5."""
  options = Options(
    19,
    variant=variant,
    output_stride=output_stride,
    multi_grid=multi_grid,
  )
  return [
    [tuple(plan.conv(2).values()) for plan in stage]
    for stage in resnet.build(options).plan()
  ]


def rates(variant, output_stride, multi_grid=()):
  """Without the strides, of the last two stages."""
  stages = middle_rates(variant, output_stride, multi_grid)[2:]
  return [tuple(rate for _, rate in stage) for stage in stages]


def test_where_the_strides_live():
  def strided(variant, conv):
    model = resnet.build(Options(19, variant=variant, output_stride=32))
    return [
      [i for i, plan in enumerate(stage) if plan.conv(conv)['stride'] == 2]
      for stage in model.plan()
    ]

  assert strided('50', 2) == [[], [0], [0], [0]]
  assert strided('50_v1c', 2) == [[], [0], [0], [0]]
  assert strided('50_caffe', 1) == [[], [0], [0], [0]]
  assert strided('50_slim', 2) == [[2], [3], [5], []]
  assert strided('50_beta', 2) == [[2], [3], [5], []]
  assert strided('18', 1) == [[], [0], [0], [0]]
  assert strided('18_slim', 2) == [[1], [1], [1], []]


def test_published_rates():
  ones, twos = (1,) * 6, (2,) * 6
  assert rates('50', 16) == [ones, (1, 2, 2)]
  assert rates('50', 8) == [(1, *twos[1:]), (2, 4, 4)]
  assert rates('50_caffe', 16) == [ones, (2, 2, 2)]
  assert rates('50_caffe', 8) == [twos, (4, 4, 4)]
  assert rates('50_slim', 16) == [ones, (2, 2, 2)]
  assert rates('50_slim', 8) == [twos, (4, 4, 4)]
  assert rates('50_slim', 16, (1, 2, 4)) == [ones, (2, 4, 8)]
  assert rates('50_beta', 8, (1, 2, 4)) == [twos, (4, 8, 16)]
  assert rates('50', 16, (1, 1, 2)) == [ones, (1, 2, 4)]  # mmseg, D16-MG124
  assert rates('50_course', 16) == [ones, (2, 2, 2)]
  assert rates('50_course', 8) == [twos, (4, 4, 4)]


def test_course_rates_of_basic_units():
  for output_stride, expected in ((16, (1, 2)), (8, (2, 4))):
    model = resnet.build(
      Options(20, variant='18_course', output_stride=output_stride)
    )
    for stage, rate in zip(model.plan()[2:], expected):
      assert all(p.conv(n)['rate'] == rate for p in stage for n in (1, 2))


@pytest.mark.parametrize('multi_grid', [(1, 2), (1, 2, 4, 8), (0, 1, 2)])
def test_multi_grid_of_another_length(multi_grid):
  with pytest.raises(ValueError, match=r'`multi_grid`.*3 entries'):
    rates('50', 16, multi_grid)
