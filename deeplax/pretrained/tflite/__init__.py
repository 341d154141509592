"""TensorFlow Lite: DeepLab, and classifiers, over MobileNetV2.

The network is told from the order of operations, not from names, which
converters mangle: any width, output stride, head (ASPP with or without atrous
branches and image pooling, plain or separable; or none) and decoder (none, or
DeepLabV3+'s). What differs from `config.model` is said with the flags to give.
Weights may be of any number format; they become float32. Batch norm is folded
into the convolutions there: ours gets scale 1, mean 0 and a variance that
makes the division one by 1. The answers stay those of the file; train on with
`freeze_bn` or `freeze_encoder_bn`, or the first batches will change them.

  variant 0.5, output_stride 8, atrous_rates (), decoder none,
  align_corners, input_norm symmetric: TensorFlow's 257x257 model for VOC
  variant 1.0 or 0.5, the same at output_stride 16, input_norm 128/128: its
  quantised 513x513 models for VOC
  variant 1.0, atrous_rates (), decoder v3plus, decoder_separable, padding same,
  half_pixel_centers False: V3+ for ADE20K in 512x512, as MLPerf's
  variant 1.0_1280, head global_pool, decoder none, padding same,
  input_norm symmetric: classifiers of ImageNet
"""

import dataclasses
import pathlib
import re

from deeplax.models.options import Options
from deeplax.pretrained.filling import File, Found
from deeplax.pretrained.tflite import flat
from deeplax.pretrained.tflite.differences import check
from deeplax.pretrained.tflite.graph import Graph, follow
from deeplax.pretrained.tflite.network import Network, recognise
from deeplax.pretrained.tflite.nodes import Conv
from deeplax.pretrained.tflite.weights import founds


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of a file besides its tensors.

  Attributes:
    graph: Its layers.
    network: What they are.
    founds: By our path; None before `adapt`.
  """

  graph: Graph
  network: Network
  founds: dict[str, Found] | None = None


def read(path: pathlib.Path) -> File:
  """Reads a file and finds out what it holds; nothing in it is executed.

  Raises:
    WeightsError: It is damaged, or of a network that is none of ours.
  """
  content = flat.read(path)
  with flat.naming_damage(path):
    graph = follow(content)
    network = recognise(graph)
    tensors = {
      t.name: t.values() for t in content.tensors if t.data is not None
    }
  weights = {n for c in graph.nodes if isinstance(c, Conv) for n in c.names}
  reasons = {
    name: 'part of the normalisation, which the network does itself'
    if name in graph.input.names
    else 'a size, an axis or the like, no weight'
    for name in tensors
    if name not in weights
  }
  return File(content.name, tensors, _left_out(reasons), Facts(graph, network))


def adapt(file: File, options: Options) -> File:
  """Fits what was read to a network of ours.

  Raises:
    WeightsError: It is another network; says which flags make it the same.
  """
  facts = file.facts
  with flat.naming_damage(file.name):
    parts = check(facts.graph, facts.network, options)
    found = founds(facts.network, parts, options)
  taken = {name for f in found.values() for name in f.names}
  rest = {
    name: 'of a layer that this config has not: the classifier of ImageNet, '
    'or the 1x1 before it'
    for path, conv in facts.network.convs.items()
    if path not in parts
    for name in conv.names - taken
  }
  return dataclasses.replace(
    file,
    left_out=(*file.left_out, *_left_out(rest)),
    facts=dataclasses.replace(facts, founds=found),
  )


def find(path: str, file: File) -> Found | None:
  """What of the file becomes our `path`; after `adapt`."""
  return file.facts.founds.get(path)


def _left_out(reasons: dict[str, str]) -> tuple[tuple[str, str], ...]:
  return tuple((re.escape(name), why) for name, why in reasons.items())
