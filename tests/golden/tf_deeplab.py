"""Makes tf_deeplab.npz: logits of the DeepLab authors' own code.

  pip install 'tensorflow-cpu==2.15.1' tf_slim 'numpy<2'   # of its own
  PYTHONPATH=. python tests/golden/tf_deeplab.py MODELS/research

MODELS is a checkout of github.com/tensorflow/models of 2019, with
research/deeplab and research/slim. Stored figures were made with the copy in
github.com/Huangongshu/deeplab3plus_tf_syncbn, which differs in calling
slim.batch_norm by another name; here it is slim's again. TensorFlow 1's names
are put back where that code expects them. NAS is left out.

Besides the logits it stores the names and shapes of all variables.
"""

import importlib
import json
import pathlib
import sys
import types

import numpy as np
import tensorflow as tf2
import tensorflow.compat.v1 as tf1
import tf_slim
from tf_slim.nets import resnet_utils

from tests.pretrained.tf_weights import draw, picture

CASES = {
  'xception_65': dict(
    size=(65, 81),
    output_stride=16,
    atrous_rates=[6, 12, 18],
    decoder_output_stride=[4],
  ),
  'mobilenet_v2': dict(size=(65, 81), output_stride=16),
  'mobilenet_v2_half': dict(
    size=(65, 49),
    model_variant='mobilenet_v2',
    depth_multiplier=0.5,
    output_stride=8,
    decoder_output_stride=[4],
    decoder_use_separable_conv=False,
  ),
  'resnet_v1_50_beta': dict(
    size=(65, 49),
    output_stride=8,
    atrous_rates=[12, 24, 36],
    multi_grid=[1, 2, 4],
    decoder_output_stride=[4],
    decoder_use_separable_conv=False,
    aspp_with_separable_conv=False,
  ),
  'resnet_v1_50': dict(
    size=(65, 49),
    output_stride=16,
    atrous_rates=[6, 12, 18],
    aspp_with_separable_conv=False,
    add_image_level_feature=False,
  ),
}


class TensorFlow1(types.ModuleType):
  """TensorFlow 1's names, `contrib.slim` among them."""

  contrib = types.SimpleNamespace(slim=tf_slim, framework=tf_slim)

  def __getattr__(self, name):
    return getattr(tf1, name)


def prepare(research: str) -> None:
  """Lets the original be imported."""
  tf1.disable_v2_behavior()
  # tensorflow 2.15.1 looks for this one where it is not.
  old, new = 'tf_keras.legacy_tf_layers', 'keras.src.legacy_tf_layers'
  for end in ('', '.normalization'):
    sys.modules[old + end] = importlib.import_module(new + end)
  module = TensorFlow1('tensorflow')
  module.__path__, module.__spec__ = tf2.__path__, tf2.__spec__
  sys.modules['tensorflow'] = module
  sys.path[:0] = [research, f'{research}/slim']
  for name in ('tensorflow.contrib', 'tensorflow.contrib.slim'):
    sys.modules[name] = types.ModuleType(name)
  for name, keys in (
    ('tensorflow.contrib.slim.nets', dict(resnet_utils=resnet_utils)),
    ('deeplab.sync_bn', dict(batch_norm=tf_slim.batch_norm)),
    (
      'deeplab.core.nas_network',
      dict.fromkeys(('pnasnet', 'hnasnet', 'nas_arg_scope')),
    ),
  ):
    stand_in = types.ModuleType(name)
    vars(stand_in).update(keys)
    sys.modules[name] = stand_in
    if name.startswith('deeplab'):
      parent, _, last = name.rpartition('.')
      setattr(importlib.import_module(parent), last, stand_in)


def run(name: str, size, atrous_rates=None, output_stride=16, **keys):
  """Logits of the original, and the shapes of its variables by name."""
  from absl import flags
  from deeplab import common, model

  if not flags.FLAGS.is_parsed():
    flags.FLAGS([sys.argv[0]])
  tf1.reset_default_graph()
  options = common.ModelOptions(
    outputs_to_num_classes={'semantic': 5},
    crop_size=list(size),
    atrous_rates=atrous_rates,
    output_stride=output_stride,
  )._replace(**{'model_variant': name, **keys})
  image = tf1.placeholder(tf1.float32, (1, *size, 3))
  logits = model.multi_scale_logits(image, options, image_pyramid=None)
  logits = logits['semantic']['merged_logits']
  shapes = {}
  with tf1.Session() as session:
    for variable in tf1.global_variables():
      own = variable.op.name
      shapes[own] = variable.shape.as_list()
      variable.load(draw(own, shapes[own]), session)
    return session.run(logits, {image: picture(*size)}), shapes


def main():
  prepare(sys.argv[1])
  arrays = {}
  for name, keys in CASES.items():
    arrays[name], shapes = run(name, **keys)
    arrays[f'{name}/shapes'] = np.array(json.dumps(shapes))
  np.savez_compressed(pathlib.Path(__file__).with_suffix('.npz'), **arrays)


if __name__ == '__main__':
  main()
