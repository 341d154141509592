"""U-Net on CamVid from scratch, to be compared with the DeepLabs.

  python launch/train.py --config=configs/camvid_unet.py --seeds=3
  python launch/evaluate.py --workdir=runs/camvid_unet --split=test

The paper's U-Net (arXiv:1505.04597) with batch norm, by the recipe of
configs/camvid_r18.py; its words are there, too. `camvid_r18.py:unet` is a U-Net
over ResNet-18.

Score: not yet run.
"""

from configs import camvid, common, unet


def get_config(argument: str = ''):
  config = common.base()
  unet.network(config)
  config.model.variant = 'bn'
  config.model.unet_bn = True
  config.model.dtype = 'bfloat16'
  camvid.recipe(config)
  return common.variants(config, argument, **camvid.WORDS)
