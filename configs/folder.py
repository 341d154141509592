"""DeepLabV3+ with ResNet-50 on pictures and masks of your own.

  python launch/prepare.py --check --dataset=folder --dir=mine
  python launch/train.py --config=configs/folder.py --config.dataset.dir=mine

`mine` holds train/images, train/labels, val/images, val/labels, and the names
in classes.json; without it every id in the masks is a class. What is left open
here fits the pictures and the memory of the device, and is said: crops of 512
at most, a batch of 8 at most, and padding where there are many sizes to
evaluate. Any of them can be given, as in

  python launch/train.py --config=configs/folder.py --config.dataset.dir=mine \\
    --config.batch_size=4 --config.input.train='random_crop(256, 256)'

Before a long run:

  python launch/train.py --config=configs/folder.py --config.dataset.dir=mine \\
    --check=overfit
  python launch/train.py --config=configs/folder.py --config.dataset.dir=mine \\
    --check=lr
  python launch/prepare.py --preview --config=configs/folder.py \\
    --config.dataset.dir=mine --output=preview.png

Score: none, that hangs on the pictures.
"""

from ml_collections.config_dict import placeholder

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  config.dataset.name = 'folder'
  config.dataset.dir = 'data/folder'
  config.input.train = placeholder(str)
  config.input.eval = placeholder(str)
  config.batch_size = placeholder(int)
  config.model.variant = '50'
  config.schedule.warmup_steps = 20  # a folder may have a few pictures only
  config.total_epochs = 100.0
  config.eval_every = 500
  config.checkpoint_every = 500
  return common.variants(config, argument)
