"""DeepLabV3+ with ResNet-50 on pictures and masks of your own.

  python launch/prepare.py --check --dataset=folder --dir=mine
  python launch/train.py --config=configs/folder.py --config.dataset.dir=mine

`mine` holds train/images, train/labels, val/images, val/labels, classes.json.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  config.dataset.name = 'folder'
  config.dataset.dir = 'data/folder'
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(512, 512)|random_flip()|photometric()'
  )
  config.model.variant = '50'
  config.schedule.warmup_steps = 100
  config.total_epochs = 100.0
  config.eval_every = 500
  config.checkpoint_every = 500
  return common.variants(config, argument)
