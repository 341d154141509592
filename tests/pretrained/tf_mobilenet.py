"""DeepLab over MobileNetV2 in TensorFlow's operations, converted to TFLite.

Written from the papers' tables; its weights are drawn under the paths of our
arrays, and all that reads them here is TensorFlow.
"""

import numpy as np
import tensorflow as tf

from tests.models import torch_weights

EPSILON = 1e-3
UNITS = (
  (1, 1, 1),
  *((2, i, 2) for i in (1, 2)),
  *((3, i, 2) for i in (1, 2, 3)),
  *((4, i, 2) for i in (1, 2, 3, 4)),
  *((4, i, 1) for i in (5, 6, 7)),
  *((5, i, 2) for i in (1, 2, 3)),
  (5, 4, 1),
)


class Weights:
  """Draws what it is asked for, and keeps it by our path."""

  def __init__(self, shapes):
    self.shapes, self.used = shapes, set()

  def __call__(self, path):
    self.used.add(path)
    name = path.replace('/var', '/running_var').replace('/scale', '/weight')
    shape = self.shapes[path]
    if len(shape) == 4:  # the variance is that of PyTorch's OIHW
      drawn = torch_weights.draw(name, (*shape[:1:-1], *shape[:2]), 0)
      return drawn.transpose(2, 3, 1, 0).astype(np.float32)
    return torch_weights.draw(name, shape, 0).astype(np.float32)


def network(weights, picture, *, strides, options):
  """Class scores of a picture `[1, H, W, 3]` that is normalised already.

  Args:
    weights: Of `Weights`.
    picture: A tensor.
    strides: Output stride, and that at which the decoder reads.
    options: `config.model`'s.
  """

  def conv(x, path, *, stride=1, rate=1, activation=tf.nn.relu6, bn=True):
    kernel = weights(f'params/{path}/conv/kernel')
    depthwise = kernel.shape[2] == 1 and x.shape[-1] > 1
    if depthwise:
      y = tf.nn.depthwise_conv2d(
        x,
        kernel.transpose(0, 1, 3, 2),
        (1, stride, stride, 1),
        'SAME',
        dilations=(rate, rate),
      )
    else:
      y = tf.nn.conv2d(x, kernel, stride, 'SAME', dilations=rate)
    epsilon = EPSILON if path.startswith('encoder') else 1e-5
    bn = f'{path}/bn'
    y = tf.nn.batch_normalization(
      y,
      weights(f'batch_stats/{bn}/mean'),
      weights(f'batch_stats/{bn}/var'),
      weights(f'params/{bn}/bias'),
      weights(f'params/{bn}/scale'),
      epsilon,
    )
    return activation(y) if activation else y

  relu = tf.nn.relu6 if options.get('bounded_activation') else tf.nn.relu

  def conv3x3(x, path, rate, separable):
    if not separable:
      return conv(x, path, rate=rate, activation=relu)
    x = conv(x, f'{path}/depthwise', rate=rate, activation=relu)
    return conv(x, f'{path}/pointwise', activation=relu)

  def resize(x, size):
    if options['align_corners'] or not options.get('half_pixel_centers', True):
      aligned = options['align_corners']
      return tf.compat.v1.image.resize_bilinear(x, size, align_corners=aligned)
    return tf.image.resize(x, size)

  def encoder(x):
    x = conv(x, 'encoder/stage1/root', stride=2)
    taken, rate = 2, 1
    for stage, unit, nominal in UNITS:
      path, inputs, stride, own = f'encoder/stage{stage}/unit{unit}', x, 1, rate
      if nominal == 2 and unit == 1:
        if taken < strides:
          stride, taken = 2, 2 * taken
        else:
          rate *= 2
      if stage > 1:
        x = conv(x, f'{path}/expand')
      x = depthwise = conv(x, f'{path}/depthwise', stride=stride, rate=own)
      x = conv(x, f'{path}/project', activation=None)
      if x.shape[-1] == inputs.shape[-1] and (stage == 1 or unit > 1):
        x = x + inputs
      if (stage, unit) == (2, 2):
        low = x if '_' in options['variant'] else depthwise
    return x, low

  x, low = encoder(picture)
  size = x.shape[1:3]
  mean = tf.reduce_mean(x, (1, 2), keepdims=True)
  mean = conv(mean, 'head/aspp/image_pooling', activation=relu)
  branches = [  # image pooling is first in TensorFlow's DeepLab
    resize(mean, size),
    conv(x, 'head/aspp/branch0', activation=relu),
  ]
  for n, rate in enumerate(options['atrous_rates'], 1):
    rate = rate * 16 // strides
    branches.append(
      conv3x3(x, f'head/aspp/branch{n}', rate, options.get('head_separable'))
    )
  x = tf.concat(branches, -1)
  x = conv(x, 'head/project', activation=relu)
  if options['decoder'] == 'v3plus':
    low = conv(low, 'decoder/low_level', activation=relu)
    x = tf.concat([resize(x, low.shape[1:3]), low], -1)
    for n in (1, 2):
      x = conv3x3(x, f'decoder/conv{n}', 1, options.get('decoder_separable'))
  return tf.nn.bias_add(
    tf.nn.conv2d(x, weights('params/logits/kernel'), 1, 'SAME'),
    weights('params/logits/bias'),
  )


def convert(function, size, change=lambda converter: None) -> bytes:
  """The `.tflite` of a function of `[1, *size, 3]`."""
  spec = tf.TensorSpec((1, *size, 3), tf.float32)
  concrete = tf.function(function).get_concrete_function(spec)
  converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
  change(converter)
  return converter.convert()


def run(content: bytes, picture: np.ndarray) -> np.ndarray:
  """What TensorFlow Lite makes of a picture."""
  interpreter = tf.lite.Interpreter(model_content=content)
  interpreter.allocate_tensors()
  interpreter.set_tensor(interpreter.get_input_details()[0]['index'], picture)
  interpreter.invoke()
  return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
