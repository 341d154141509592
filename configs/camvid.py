"""The recipe that the camvid_*.py share; not an experiment by itself.

`plain` is the one that segmentation_models_pytorch's DeepLabV3+ was measured
with: 0.550 on test with ResNet-18 after 300 epochs. `tuned` is ours. The other
words change one thing each, and can be joined to either:

  python launch/train.py --config=configs/camvid_r18.py:plain,tune
  python launch/train.py --config=configs/camvid_r18.py:plain,photometric,tune

`tune` holds out whole drives, as `val` is no stranger to `train`: recipes are
chosen by it, then trained on all of `train`, and seen by `test` once. What each
word is worth, mIoU of `tune_val`, ResNet-18, 300 epochs, three seeds:

  | words                                             | mIoU        |
  |---------------------------------------------------|-------------|
  | plain,tune                                        | not yet run |
  | plain,photometric,tune                            | not yet run |
  | plain,weights,tune                                | not yet run |
  | plain,ema,tune                                    | not yet run |
  | plain,class_crop,tune                             | not yet run |
  | plain,paste_rare,tune; plain,cutmix,tune          | not yet run |
  | plain,lovasz,tune; plain,dice,tune                | not yet run |
  | plain,hard_pixels,tune                            | not yet run |
  | tune: `tuned`, chosen by what others report       | not yet run |
  | the same, evaluated with --output_stride=8        | not yet run |
  | the same, evaluated with --flip --scales=.75,1,1.25 | not yet run |

A first look, `plain,tune,half` for 60 epochs in float32 on two CPU cores, seeds
0 and 1: 0.199 and 0.198 of `tune_val`, 0.368 and 0.335 of `val`. One of the
drives held out is of dusk, and nothing like it is in `tune_train`.

40 pictures of `train` at 240x180 are learnt by heart: `plain,unet` of
camvid_r18.py without mirrors and weight decay has 0.906 of training mIoU after
170 and 96 epochs of batches of 8, seed 0, 19 minutes of the same two cores.
"""

from configs import common


def recipe(config):
  """SGD 0.05 with Nesterov momentum, 16 crops of 352, 300 epochs; and `tuned`.

  Judged by `val` while it trains, which lies in the middle of a drive of
  `train`: by `test` at the end.
  """
  common.camvid(config)
  config.input.cache = 'runs/cache/camvid'
  config.optimizer.nesterov = True
  config.schedule.peak = 0.05
  config.schedule.warmup_steps = 200
  config.batch_size = 16
  config.total_epochs = 300.0
  config.eval_every = config.checkpoint_every = 690  # 30 epochs
  tuned(config)


def plain(config):
  """Scales, crops and mirrors; every pixel counts alike."""
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(352, 352)|random_flip()'
  )
  config.optimizer.ema_decay = None
  config.loss.class_weights_from_data = False
  config.loss.normalize_by = 'pixels'


def tuned(config):
  """What of the words below is believed to be worth its while."""
  plain(config)
  photometric(config)
  weights(config)
  ema(config)


def tune(config):
  """Trains on one drive, and is judged by two others."""
  config.dataset.train_split = 'tune_train'
  config.dataset.eval_split = 'tune_val'


def half(config):
  """At half the resolution, which takes a quarter of the time."""
  config.input.train = config.input.train.replace(
    'random_scale(0.5, 2.0)', 'random_scale(0.25, 1.0)'
  ).replace('352, 352', '176, 176')
  config.input.eval = 'resize_image(180, 240)'


def photometric(config):
  """Brightness, contrast, saturation and hue are distorted."""
  config.input.train += '|photometric()'


def weights(config):
  """Classes weigh 1 / ln(1.02 + their share)."""
  config.loss.class_weights_from_data = True
  config.loss.normalize_by = 'weights'


def ema(config):
  """The mean of the last parameters is what is evaluated and saved."""
  config.optimizer.ema_decay = 0.998


def lovasz(config):
  """The Lovász-softmax loss is added."""
  config.loss.name = 'lovasz'


def dice(config):
  """The Dice loss is added."""
  config.loss.name = 'dice'


def hard_pixels(config):
  """The third of the pixels that is hardest counts, after 1,000 steps."""
  config.loss.hard_pixels = 0.3
  config.loss.hard_pixels_ramp = 1000


def class_crop(config):
  """Every second crop is one of a class drawn before."""
  config.input.train = config.input.train.replace('random_crop', 'class_crop')


def cutmix(config):
  """Every second crop has a rectangle of another."""
  _after_flip(config, 'cutmix(0.5)')


def paste_rare(config):
  """Every second crop has what is rare in another."""
  _after_flip(config, 'paste_rare(0.5)')


def _after_flip(config, op):
  config.input.train = config.input.train.replace(
    'random_flip()', f'random_flip()|{op}'
  )


WORDS = {
  word.__name__: word
  for word in (
    plain,
    tune,
    half,
    photometric,
    weights,
    ema,
    lovasz,
    dice,
    hard_pixels,
    class_crop,
    cutmix,
    paste_rare,
  )
}
