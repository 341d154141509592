"""Recipe pieces: the full tree of keys, and argument parsing for variants."""

import re

import ml_collections
from ml_collections.config_dict import placeholder


def base() -> ml_collections.ConfigDict:
  """Every key there is, with the value that most experiments keep."""
  return ml_collections.ConfigDict(
    dict(
      dataset=dict(
        # A module of deeplax/data/datasets, e.g. 'cityscapes', 'folder',
        # 'tfds:oxford_iiit_pet' (what follows the colon goes to the module).
        name='cityscapes',
        dir='data/cityscapes',
        train_split='train',
        eval_split='val',
        on_error='raise',  # or 'skip'
      ),
      # train, eval and batch_size may be left open, placeholder(...): training
      # fits them to the pictures and the memory, as in configs/folder.py.
      input=dict(
        train='random_scale(0.5, 2.0)|random_crop(512, 1024)|random_flip()',
        eval='',  # pictures as they are
        workers=2,  # processes that decode and augment; 0: in the trainer
        cache='',  # folder for a decoded memory map of the train split
        eval_batch_size=placeholder(int),  # default: batch_size
      ),
      model=dict(
        name='deeplab',
        encoder='resnet',  # vgg, xception, mobilenet_v2, unet
        variant='101',
        output_stride=16,
        multi_grid=(),  # of the last stage; () is 1 for every unit
        padding='symmetric',  # mobilenet_v2 also 'same', TensorFlow's
        head='aspp',  # large_fov, aspp_sum, none, global_pool
        atrous_rates=(6, 12, 18),  # at output stride 16
        head_channels=256,
        head_bias=False,
        head_separable=False,
        head_conv3x3=False,  # one more 3x3 convolution ends the head
        image_pooling=True,
        image_pooling_window=(),  # height, width in pixels; () is the picture
        dropout=0.1,
        decoder='v3plus',  # none, unet
        decoder_channels=256,
        decoder_layers=2,
        decoder_separable=False,
        bounded_activation=False,  # ReLU of head and decoder is capped at 6
        separable_inner_bn=True,  # batch norm before the 1x1, too
        low_level_channels=48,
        unet_channels=(256, 128, 64, 32, 16),  # of each level, deepest first
        unet_upsampling='nearest',  # 'transposed': 2x2 up-convolutions
        unet_bn=True,
        unet_center=False,
        logits_size=1,  # side of the last kernel
        auxiliary=False,  # FCN head on stage4 of the encoder
        input_scales=(),  # (1.0, 0.75, 0.5): the maximum of three, V2
        crf_rnn=0,  # iterations of a CRF that is trained as the last layer
        crf_rnn_spatial=(1.0, 3.0),  # width in pixels, weight to start from
        crf_rnn_bilateral=(67.0, 3.0, 4.0),  # in pixels and colour, weight
        input_norm='imagenet',  # symmetric, mean, vgg, or '0/255'
        align_corners=False,
        half_pixel_centers=True,  # False: TensorFlow 1's, without align_corners
        bn_decay=0.9,
        bn_epsilon=1e-5,
        encoder_bn_epsilon=placeholder(float),  # default: bn_epsilon
        bn_unbiased=False,  # running variance divided by n - 1, as PyTorch
        freeze_bn=False,  # with init_from only, both
        freeze_encoder_bn=False,  # the encoder's alone
        dtype='float32',  # of the computation; parameters stay float32
        remat=False,
        remat_norms=False,
        space_to_batch='auto',  # on, off: layout of atrous stages
        aspp_lowering='auto',  # convolutions, branch_products, one_product
      ),
      crf=dict(  # behind the network, for evaluate and predict
        use=False,
        num_iterations=10,
        spatial=(1.0, 3.0),  # width in pixels, weight; () for none
        bilateral=(67.0, 3.0, 4.0),  # widths in pixels and colour, weight
        normalization='symmetric',  # before, after, none
        method='lattice',  # 'grid': faster and approximate
      ),
      loss=dict(
        name='cross_entropy',  # lovasz, dice: a module of deeplax/losses
        class_weights=(),  # numbers, one a class; () is 1 for all
        class_weights_from_data=False,  # 1 / ln(1.02 + p)
        normalize_by='pixels',  # 'weights': PyTorch's mean of weighted CE
        hard_pixels=1.0,  # fraction of the hardest pixels that count
        hard_pixels_ramp=0,  # steps from 1.0 down to hard_pixels
        label_smoothing=0.0,
        region_weight=1.0,  # of lovasz, dice: factor of what joins the CE
        auxiliary_weight=0.4,
        void_class=False,  # void is trained as one more, last class
      ),
      optimizer=dict(
        name='sgd',  # sgd, adam, adamw
        momentum=0.9,
        nesterov=False,
        b1=0.9,
        b2=0.999,
        weight_decay=5e-4,
        decay_mask='all',  # kernels: ndim > 1; dense_kernels: not depthwise
        encoder_lr_mult=1.0,
        logits_lr_mult=1.0,  # of the layers that give class scores
        bias_lr_mult=1.0,  # of biases, batch norm's not among them
        bn_lr_mult=1.0,  # of batch norm's scales and biases
        clip_norm=placeholder(float),
        accumulate=1,  # steps whose gradients are averaged
        ema_decay=placeholder(float),  # 0.999: averaged parameters are kept
        skip_nonfinite=0,  # steps that may be left out for a NaN or infinity
      ),
      schedule=dict(
        name='poly',  # poly, cosine, step, constant
        peak=0.01,
        end=0.0,
        power=0.9,
        warmup_steps=0,
        boundaries=(),  # step: fractions of the whole
        factor=0.1,
      ),
      batch_size=8,  # over all devices
      total_steps=placeholder(int),  # overrides total_epochs
      total_epochs=placeholder(float),
      log_every=50,
      eval_every=1000,
      checkpoint_every=1000,
      seed=0,
      mesh=dict(data=-1, spatial=1),  # -1: all remaining devices
      init_from='',
      init_strict=False,
    )
  )


def variants(
  config: ml_collections.ConfigDict, argument: str, **choices
) -> ml_collections.ConfigDict:
  """Applies what follows the colon of `--config=file.py:a,b`, then locks.

  Args:
    config: Changed in place.
    argument: Names, comma separated; '' for none. Applied as they stand, but
      `smoke` comes last.
    **choices: Functions that change a config, by name. `smoke` is always there.

  Raises:
    ValueError: If a name is not among them.
  """
  choices = {'smoke': smoke, **choices}
  names = [name for name in argument.split(',') if name]
  for name in names:
    if name not in choices:
      raise ValueError(
        f'there is no variant {name!r} of this config; it has: '
        f'{", ".join(sorted(choices))}.'
      )
  for name in sorted(names, key=lambda name: name == 'smoke'):
    choices[name](config)
  return config.lock()


def smoke(config: ml_collections.ConfigDict) -> None:
  """Two steps on synthetic pictures: does it run at all, on a CPU."""
  config.dataset.name = 'synthetic:48x64x8x2'
  config.dataset.train_split = 'train'
  config.dataset.eval_split = 'val'
  config.input.train = 'random_scale(0.5, 2.0)|random_crop(48, 64)'
  config.input.eval = ''
  config.input.workers = 0
  config.input.cache = ''
  config.batch_size = 2
  config.input.eval_batch_size = 2
  # Fresh weights with frozen statistics end in numbers that aren't finite.
  config.model.freeze_bn = config.model.freeze_encoder_bn = False
  config.optimizer.accumulate = 1
  config.total_steps = 2
  config.schedule.warmup_steps = 0
  config.eval_every = config.checkpoint_every = 2
  config.log_every = 1
  config.mesh.data = 1
  config.init_from = ''


def camvid(config: ml_collections.ConfigDict) -> None:
  """CamVid's 11 classes at 480x360 in data/camvid, 300 epochs."""
  config.dataset.name = 'camvid'
  config.dataset.dir = 'data/camvid'
  config.dataset.train_split = 'train'
  config.dataset.eval_split = 'val'
  aligned = config.model.align_corners
  _crop_to(config, 352 + aligned)
  config.input.eval = 'pad_aligned(16)' if aligned else ''
  config.total_steps = None
  config.total_epochs = 300.0
  config.eval_every = config.checkpoint_every = 500


def voc(config: ml_collections.ConfigDict) -> None:
  """Pascal VOC's 21 classes in data/VOCdevkit/VOC2012: 10,582 for training."""
  config.dataset.name = 'voc'
  config.dataset.dir = 'data/VOCdevkit/VOC2012'
  config.dataset.train_split = 'trainaug'
  config.dataset.eval_split = 'val'
  side = 512 + config.model.align_corners
  _crop_to(config, side)
  # No picture has more than 500 rows or columns: one shape, one compilation.
  config.input.eval = f'pad_to_multiple({side})'


def large_fov(config: ml_collections.ConfigDict) -> None:
  """V1's head over the encoder of the config, at its stride."""
  config.model.head = 'large_fov'
  config.model.head_channels = 1024
  config.model.atrous_rates = (6,)
  config.model.decoder = 'none'


def aspp_sum(config: ml_collections.ConfigDict) -> None:
  """V2's head over the encoder of the config, at its stride and one scale."""
  config.model.head = 'aspp_sum'
  config.model.atrous_rates = (3, 6, 9, 12)
  config.model.decoder = 'none'


def no_decoder(config: ml_collections.ConfigDict) -> None:
  """V3's network of V3+'s."""
  config.model.decoder = 'none'


def unet(config: ml_collections.ConfigDict) -> None:
  """U-Net over the encoder of the config, as segmentation_models_pytorch's."""
  config.model.output_stride = 32
  config.model.head = 'none'
  config.model.atrous_rates = ()
  config.model.dropout = 0.0
  config.model.decoder = 'unet'
  config.model.logits_size = 3


# Heads and decoders instead of V3+'s, all else equal: who is compared.
FAMILY = {'v1': large_fov, 'v2': aspp_sum, 'v3': no_decoder, 'unet': unet}


def aligned(config: ml_collections.ConfigDict) -> None:
  """Upsampling on the grid of TensorFlow's and Caffe's DeepLab.

  Corners fall on corners there, which needs sizes of 16k + 1: those of crops,
  and of whole pictures, 1025x2049 for Cityscapes.
  """
  config.model.align_corners = True
  config.input.eval = 'pad_aligned(16)'


def tf_deeplab(config: ml_collections.ConfigDict) -> None:
  """The recipe of the authors' TensorFlow code on Cityscapes.

  90k steps of 16 crops of 769, SGD 0.007 poly 0.9; biases learn twice as fast
  and nothing but kernels decays. Theirs scales by steps of 0.25; here
  scales are continuous.
  """
  aligned(config)
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(769, 769)|random_flip()'
  )
  config.input.workers = 8
  config.input.eval_batch_size = 1
  config.model.bn_decay = 0.9997
  config.optimizer.weight_decay = 4e-5
  config.optimizer.decay_mask = 'kernels'
  config.optimizer.bias_lr_mult = 2.0
  config.schedule.peak = 0.007
  config.batch_size = 16
  config.total_steps = 90_000
  config.eval_every = 5_000
  config.checkpoint_every = 1_000


def tf_deeplab_voc(config: ml_collections.ConfigDict) -> None:
  """The same on VOC: 30k steps of 16 crops of 513, SGD 0.007."""
  voc(config)
  config.schedule.peak = 0.007
  config.total_steps = 30_000


def _crop_to(config, side: int) -> None:
  """Makes the training crop no larger than `side`, in both directions."""

  def smaller(match):
    name, *size = match.groups()
    height, width = (min(int(n), side) for n in size)
    return f'{name}_crop({height}, {width}'

  config.input.train = re.sub(
    r'(random|class)_crop\((\d+), (\d+)', smaller, config.input.train
  )
