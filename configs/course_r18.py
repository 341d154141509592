"""The course's DeepLabV3 with ResNet-18: 15,315,028 parameters, 92 epochs.

  python launch/train.py --config=configs/course_r18.py

The course's table: val loss 0.682222, printed "mIOU" (1 - mean soft
IoU) 0.723001.
Score of this config: not yet run.
"""

from configs import common
from configs.course import course


def get_config(argument: str = ''):
  return common.variants(course('18', epochs=92.0), argument)
