"""DeepLabV3+ with ResNet-18 on CamVid from scratch: 11 classes, 480x360.

  python launch/train.py --config=configs/camvid_r18.py \
    --config.dataset.dir=data/camvid
  python launch/evaluate.py --workdir=runs/camvid_r18 --split=test

The plain recipe: 300 epochs of SGD 0.05 with Nesterov momentum. Evaluated at
full resolution. `val` lies in the middle of a drive of `train`: judge by
`test`.

Score: not yet run to the end.
"""

from configs import common


def get_config(argument: str = ''):
  config = common.base()
  common.camvid(config)
  config.input.workers = 2
  config.model.variant = '18'
  config.optimizer.nesterov = True
  config.schedule.peak = 0.05
  config.schedule.warmup_steps = 200
  config.batch_size = 16
  config.total_epochs = 300.0
  config.eval_every = 690  # 30 epochs
  config.checkpoint_every = 230
  return common.variants(config, argument)
