"""DeepLabV3+ with ResNet-50 on CamVid from scratch, output stride 8.

  python launch/train.py --config=configs/camvid_r50.py --seeds=3
  python launch/evaluate.py --workdir=runs/camvid_r50 --split=test

The recipe of configs/camvid_r18.py for 500 epochs; its words are there, too.
Aim: 0.669 on test, the most that was published from scratch (FC-DenseNet103);
0.531 is what segmentation_models_pytorch's reached in 200 epochs at stride 16.

Score: not yet run.
"""

from configs import camvid, common


def get_config(argument: str = ''):
  config = common.base()
  config.model.variant = '50'
  config.model.output_stride = 8
  config.model.dtype = 'bfloat16'
  camvid.recipe(config)
  config.total_epochs = 500.0
  return common.variants(config, argument, **camvid.WORDS)
