"""The course's DeepLabV3 with ResNet-101: 58,041,940 parameters.

148 epochs, then 22 more:

  python launch/train.py --config=configs/course_r101.py
  python launch/train.py --config=configs/course_r101.py:second_leg

The second command starts from the weights of the first one's epoch 148, in
runs/course_r101, and trains 22 more epochs at a tenth of the learning rate.

The course's table: val loss 0.515101, printed "mIOU" (1 - mean soft IoU)
0.69874. Score of this config: not yet run.
"""

from configs import common
from configs.course import course


def get_config(argument: str = ''):
  config = course('101', epochs=148.0)
  return common.variants(config, argument, second_leg=second_leg)


def second_leg(config):
  """22 more epochs, learning rate 1e-4 -> 1e-5, optimiser started afresh."""
  config.init_from = 'runs/course_r101@latest'
  config.init_strict = True
  config.schedule.peak = 1e-5
  config.total_epochs = 22.0
