"""DeepLabV3+ with MobileNetV2 on CamVid, from ImageNet's weights.

  python launch/convert.py --source=tflite \
    --weights=tf2_mobilenet_v2_1.0_224_ptq.tflite \
    --config=configs/camvid_mobilenet_v2.py \
    --output=runs/camvid_mobilenet_v2_imagenet
  python launch/train.py --config=configs/camvid_mobilenet_v2.py --seeds=3
  python launch/evaluate.py --workdir=runs/camvid_mobilenet_v2 --split=test

The file is Coral's (github.com/google-coral/test_data): 8 bits a weight, batch
norm folded into the convolutions, padding as TensorFlow's. The statistics of
batch norm in the encoder are not those of the features, so they stay frozen;
the encoder learns at a fifth of the rate.

Score: not yet run.
"""

from configs import camvid, common


def get_config(argument: str = ''):
  config = common.base()
  config.model.encoder = 'mobilenet_v2'
  config.model.variant = '1.0'
  config.model.padding = 'same'
  config.model.head_channels = 128
  config.model.decoder_channels = 128
  config.model.input_norm = 'symmetric'
  config.model.encoder_bn_epsilon = 1e-3
  config.model.freeze_encoder_bn = True
  camvid.recipe(config)
  config.init_from = 'runs/camvid_mobilenet_v2_imagenet'
  config.optimizer.name = 'adamw'
  config.optimizer.nesterov = False
  config.optimizer.weight_decay = 0.01
  config.optimizer.decay_mask = 'kernels'
  config.optimizer.encoder_lr_mult = 0.2
  config.optimizer.clip_norm = 1.0
  config.schedule.peak = 1e-3
  config.total_epochs = 100.0
  return common.variants(config, argument, **camvid.WORDS)
