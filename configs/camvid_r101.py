"""DeepLabV3+ with ResNet-101 on CamVid from scratch, output stride 16.

  python launch/train.py --config=configs/camvid_r101.py --seeds=3
  python launch/evaluate.py --workdir=runs/camvid_r101 --split=test

The recipe of configs/camvid_r18.py for 500 epochs; its words are there, too.

Score: not yet run.
"""

from configs import camvid, common


def get_config(argument: str = ''):
  config = common.base()
  config.model.variant = '101'
  config.model.dtype = 'bfloat16'
  camvid.recipe(config)
  config.total_epochs = 500.0
  return common.variants(config, argument, **camvid.WORDS)
