"""DeepLabV3+ with ResNet-18 on CamVid from scratch: 11 classes, 480x360.

  python launch/train.py --config=configs/camvid_r18.py --seeds=3
  python launch/evaluate.py --workdir=runs/camvid_r18 --split=test

and the heads of V1, V2 and V3, and U-Net, over the same encoder, by the same
recipe:

  python launch/train.py --config=configs/camvid_r18.py:v1 --seeds=3
  python launch/train.py --config=configs/camvid_r18.py:v2 --seeds=3
  python launch/train.py --config=configs/camvid_r18.py:v3 --seeds=3
  python launch/train.py --config=configs/camvid_r18.py:unet --seeds=3

configs/camvid.py has the recipe, the words that change one thing of it each,
and the table of what they are worth. Aim: 0.60 on test; 0.550 is what
segmentation_models_pytorch's network reached by `plain`.

Score: not yet run.
"""

from configs import camvid, common


def get_config(argument: str = ''):
  config = common.base()
  config.model.variant = '18'
  config.model.head_separable = True  # a third of the work, as the peer's
  config.model.decoder_separable = True
  config.model.dtype = 'bfloat16'
  camvid.recipe(config)
  return common.variants(config, argument, **common.FAMILY, **camvid.WORDS)
