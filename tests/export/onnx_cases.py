"""Small networks of every family, and a model run beside JAX."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime

from deeplax import inference, models
from deeplax.export.onnx import convert
from deeplax.ops.lowerings import choice
from tests.models.random_weights import random_variables

CLASSES = 5
_THIN = dict(
  head_channels=8,
  decoder_channels=8,
  low_level_channels=4,
  aspp_lowering='convolutions',
  space_to_batch='off',
)


# Options, and what is changed in the encoder.
NETWORKS = {
  'v1_vgg': (
    dict(
      encoder='vgg',
      variant='16_large_fov',
      output_stride=8,
      head='large_fov',
      head_channels=6,
      atrous_rates=(6,),
      decoder='none',
    ),
    dict(width=4),
  ),
  'v2_resnet': (
    dict(
      variant='18',
      output_stride=8,
      head='aspp_sum',
      atrous_rates=(3, 6),
      decoder='none',
      input_scales=(1.0, 0.75),
    ),
    dict(width=4),
  ),
  'v3_resnet': (
    dict(
      variant='50',
      output_stride=8,
      multi_grid=(1, 2, 4),
      decoder='none',
      align_corners=True,
    ),
    dict(width=4),
  ),
  'v3plus_resnet': (dict(variant='18'), dict(width=4)),
  'v3plus_xception': (
    dict(
      encoder='xception',
      variant='41',
      head_separable=True,
      decoder_separable=True,
      bounded_activation=True,
    ),
    dict(width=4),
  ),
  'v3_mobilenet': (
    dict(
      encoder='mobilenet_v2',
      variant='0.25',
      atrous_rates=(),
      padding='same',
      half_pixel_centers=False,
      image_pooling_window=(32, 32),
      decoder='none',
    ),
    {},
  ),
  'unet': (
    dict(
      encoder='unet',
      variant='paper',
      head='none',
      decoder='unet',
      unet_channels=(32, 16, 8, 4),
      unet_upsampling='transposed',
      unet_bn=False,
    ),
    dict(width=4),
  ),
  'unet_resnet': (
    dict(
      variant='18',
      output_stride=32,
      head='none',
      decoder='unet',
      unet_channels=(16, 8, 8, 4, 4),
    ),
    dict(width=4),
  ),
}


def segment(name, **options):
  """The function that is exported: a picture to labels and logits."""
  keys, changes = NETWORKS[name]
  model = models.build(CLASSES, **{**_THIN, **keys})
  model = model.clone(encoder=model.encoder.clone(**changes))
  picture = np.zeros((1, 32, 32, 3), np.uint8)
  variables = random_variables(model, picture)

  def function(image):
    with mock.patch.object(choice, 'choose', lambda *_, **__: 'xla'):
      logits = inference.predict_logits(
        lambda x: model.apply(variables, x, train=False)[0], image, **options
      )
    labels = jnp.argmax(logits, axis=-1).astype(jnp.uint8)
    return {'labels': labels, 'logits': logits}

  return function


def run(model, *inputs):
  """Outputs of a model by name, as onnxruntime computes them."""
  session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=['CPUExecutionProvider']
  )
  names = [x.name for x in session.get_inputs()]
  outputs = [x.name for x in session.get_outputs()]
  return dict(zip(outputs, session.run(None, dict(zip(names, inputs)))))


def both(function, x, **options):
  """(model, outputs of onnxruntime, outputs of JAX), outputs as dicts."""
  model = convert(function, x, **options)
  expected = jax.device_get(jax.jit(function)(x))
  return model, run(model, x), expected


def operators(model):
  """Types of the nodes, in their order."""
  return [node.op_type for node in model.graph.node]
