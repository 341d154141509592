"""The course's DeepLabV3 with ResNet-18: 15,315,028 parameters, 92 epochs.

  python launch/train.py --config=configs/course_r18.py
  python launch/train.py --config=configs/course_r18.py:os8

At output stride 16; by its notebook's history the course's run was at 8, with
as many parameters. It kept the rates 6, 12, 18 there, which this code scales.

The course's table: val loss 0.682222, printed "mIOU" (1 - mean soft
IoU) 0.723001.
Score of this config: not yet run.
"""

from configs import common
from configs.course import course


def get_config(argument: str = ''):
  config = course('18', epochs=92.0)
  return common.variants(config, argument, os8=output_stride_8)


def output_stride_8(config):
  """The last two stages fresh and atrous, at rates 2 and 4."""
  config.model.output_stride = 8
  config.model.atrous_rates = (3, 6, 9)  # 6, 12, 18 at output stride 8
