"""The course's DeepLabV3 with ResNet-50: 39,049,812 parameters, 128 epochs.

  python launch/train.py --config=configs/course_r50.py

The course's table: val loss 0.606357, printed "mIOU" (1 - mean soft
IoU) 0.720219.
Score of this config: not yet run.
"""

from configs import common
from configs.course import course


def get_config(argument: str = ''):
  return common.variants(course('50', epochs=128.0), argument)
