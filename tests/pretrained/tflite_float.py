"""Runs a `.tflite` file in float32 with TensorFlow's operations.

What a quantised file stands for: weights are dequantised, features are not
rounded. Where rounded features can hold no number below 0, that is a ReLU.
"""

import numpy as np
import tensorflow as tf


def run(content, picture, *, keep=()):
  """Values of the outputs, or of the tensors named in `keep`, float32.

  Args:
    content: Of `deeplax.pretrained.tflite.flat.read`.
    picture: `[1, H, W, 3]`, as the first operation takes it, dequantised.
    keep: Names of tensors.
  """
  values = {content.inputs[0]: tf.constant(picture, tf.float32)}

  def value(n):
    if n not in values:
      tensor = content.tensors[n]
      array = tensor.values()
      values[n] = array.astype(np.float32) if tensor.scale.size else array
    return values[n]

  for op in content.ops:
    x, *rest = (value(n) for n in op.inputs if n >= 0)
    result = content.tensors[op.outputs[0]]
    y = OPERATIONS[op.name](x, rest, op.options, content, op)
    activation = op.options.get('activation', 'NONE')
    low, high = result.range or (-np.inf, np.inf)
    if activation in ('RELU', 'RELU6') or (
      low >= 0 and op.name in ('CONV_2D', 'DEPTHWISE_CONV_2D')
    ):
      y = tf.nn.relu(y)
    if activation == 'RELU6' or (activation == 'NONE' and 5.9 < high < 6.1):
      y = tf.minimum(y, 6)
    values[op.outputs[0]] = y
  if keep:
    names = {t.name: n for n, t in enumerate(content.tensors)}
    return [np.asarray(values[names[name]]) for name in keep]
  return [np.asarray(values[n]) for n in content.outputs]


def _convolve(x, rest, options, content, op):
  stride = options['StrideH']
  rate = (options['DilationHFactor'],) * 2
  padding = 'VALID' if options['Padding'] == 1 else 'SAME'
  if op.name == 'CONV_2D':
    kernel = tf.transpose(rest[0], (1, 2, 3, 0))
    y = tf.nn.conv2d(x, kernel, stride, padding, dilations=rate)
  else:
    kernel = tf.transpose(rest[0], (1, 2, 3, 0))
    strides = (1, stride, stride, 1)
    y = tf.nn.depthwise_conv2d(x, kernel, strides, padding, dilations=rate)
  bias = content.tensors[op.inputs[2]]
  scale = None
  if bias.dtype == 'INT32' and not bias.scale.size:
    picture, kernel = (content.tensors[n] for n in op.inputs[:2])
    scale = picture.scale * kernel.scale
  return y + bias.values(scale)


def _resize(x, rest, options, content, op):
  return tf.compat.v1.image.resize_bilinear(
    x,
    rest[0],
    align_corners=options['AlignCorners'],
    half_pixel_centers=options['HalfPixelCenters'],
  )


def _pool(x, rest, options, content, op):
  window = (options['FilterHeight'], options['FilterWidth'])
  return tf.nn.avg_pool2d(x, window, 1, 'VALID')


def _same(x, rest, options, content, op):
  return x


OPERATIONS = {
  'CONV_2D': _convolve,
  'DEPTHWISE_CONV_2D': _convolve,
  'ADD': lambda x, rest, *_: x + rest[0],
  'AVERAGE_POOL_2D': _pool,
  'MEAN': lambda x, rest, *_: tf.reduce_mean(x, rest[0], keepdims=True),
  'RESIZE_BILINEAR': _resize,
  'CONCATENATION': lambda x, rest, *_: tf.concat([x, *rest], -1),
  'QUANTIZE': _same,
  'DEQUANTIZE': _same,
  'RESHAPE': lambda x, rest, *_: tf.reshape(x, rest[0]),
  'ARG_MAX': lambda x, rest, *_: tf.argmax(x, -1),
}
