"""DeepLabV3+ with ResNet-18 on synthetic street scenes: no data needed.

  python launch/train.py --config=configs/demo.py

A small decoder and small pictures, so that two CPU cores are enough.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  config.dataset.name = 'synthetic:96x192x400'
  config.input.train = (
    'random_scale(0.75, 1.5)|random_crop(96, 192)|random_flip()'
  )
  config.input.workers = 1
  config.input.eval_batch_size = 10
  config.model.variant = '18'
  config.model.head_channels = 64
  config.model.decoder_channels = 64
  config.model.dropout = 0.0
  config.optimizer.nesterov = True
  config.schedule.peak = 0.05
  config.schedule.warmup_steps = 10
  config.batch_size = 8
  config.total_steps = 200
  config.log_every = 10
  config.eval_every = 100
  config.checkpoint_every = 100
  return common.variants(config, argument)
