"""What network a `.tflite` file holds, from the order of its layers alone."""

import dataclasses
from typing import Any

import numpy as np

from deeplax.errors import WeightsError
from deeplax.pretrained.tflite import encoder as encoders
from deeplax.pretrained.tflite.blocks import Block, are_points
from deeplax.pretrained.tflite.encoder import Encoder
from deeplax.pretrained.tflite.graph import Graph
from deeplax.pretrained.tflite.nodes import Conv, Node, Pool, Resize

_MOST_BRANCHES = 32


@dataclasses.dataclass
class Network:
  """What was found.

  Attributes:
    encoder: MobileNetV2.
    keys: Of `config.model`, what head and decoder are; without `head` the
      file ends with the encoder.
    convs: By our path, less `/conv`; the encoder's among them.
    orders: By our path: the file's input channels in our order.
    grids: Of the bilinear upsamplings, with the name of a tensor each.
  """

  encoder: Encoder
  keys: dict[str, Any] = dataclasses.field(default_factory=dict)
  convs: dict[str, Conv] = dataclasses.field(default_factory=dict)
  orders: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  grids: dict[str, str] = dataclasses.field(default_factory=dict)


def recognise(graph: Graph) -> Network:
  """Finds encoder, head and decoder.

  Raises:
    WeightsError: They are none of ours; names the tensor.
  """
  encoder = encoders.find(graph)
  network = Network(encoder, convs=encoder.convs())
  _Reader(graph, network).read()
  return network


class _Reader:
  """Reads the network from its end, against the order of computation."""

  def __init__(self, graph: Graph, network: Network):
    self.graph, self.network, self.keys = graph, network, network.keys
    self.features = network.encoder.result

  def read(self) -> None:
    ends = {self._end(node) for node in self.graph.outputs}
    if len(ends) != 1:
      raise WeightsError(
        f'{self.graph.name} ends in {len(ends)} layers, '
        f'{", ".join(sorted(n.tensor for n in ends)[:4])}; a network of '
        'class scores ends in one.'
      )
    (end,) = ends
    if self._is_features(end):
      return
    if not isinstance(end, Conv) or end.activation != 'none' or end.depthwise:
      raise self._unknown(end, 'class scores without an activation')
    self.network.convs['logits'] = end
    self.keys['logits_size'] = end.size
    x = self._head_result(end.inputs[0])
    if isinstance(x, Pool) and x.inputs[0] is self.features:
      self.keys['head'] = 'global_pool'
    elif x is self.features:
      self.keys['head'] = 'none'
    else:
      self._aspp(x)

  def _end(self, node: Node) -> Node:
    """The layer whose scores an output is."""
    while isinstance(node, Resize) or node.kind == 'other':
      self._note_grid(node)
      if len(node.inputs) != 1:
        raise self._unknown(node, 'one input')
      node = node.inputs[0]
    return node

  def _is_features(self, node: Node) -> bool:
    if isinstance(node, Pool):
      node = node.inputs[0]
    return node is self.features

  def _note_grid(self, node: Node) -> None:
    if isinstance(node, Resize):
      self.network.grids[node.tensor] = node.grid

  def _upsampled(self, node: Node) -> Node:
    """What was scaled to become `node`."""
    while isinstance(node, Resize):
      self._note_grid(node)
      node = node.inputs[0]
    return node

  def _chain(self, node: Node) -> tuple[Node, list[Conv]]:
    """Convolutions back to what is none, or to the encoder's features."""
    chain = []
    stops = (self.features, *self.network.encoder.early)
    while isinstance(node, Conv) and node not in stops:
      chain.insert(0, node)
      node = node.inputs[0]
    return node, chain

  def _head_result(self, x: Node) -> Node:
    """Reads the decoder, if there is one; returns what the head gives."""
    x = self._upsampled(x)
    origin, chain = self._chain(x)
    branches = self._branches(origin)
    low = [b for b in branches
           if self._chain(b)[0] in self.network.encoder.early]  # fmt: skip
    if not low:
      self.keys['decoder'] = 'none'
      return x
    early, points = self._chain(low[0])
    if len(branches) != 2 or len(low) != 1 or not are_points(points, 1):
      raise self._unknown(origin, "the head's features and early ones of a 1x1")
    blocks = self._blocks(chain, 'decoder')
    kinds = {b.separable for b in blocks}
    if len(kinds) != 1 or any(b.size != 3 for b in blocks):
      raise self._unknown(origin, '3x3 convolutions of one kind behind it')
    self.keys |= {
      'decoder': 'v3plus',
      'decoder_layers': len(blocks),
      'decoder_separable': kinds.pop(),
      'decoder_channels': blocks[-1].last.features,
      'low_level_channels': points[0].features,
    }
    self.keys['low_level'] = (
      'depthwise' if early is self.network.encoder.early[0] else 'unit'
    )
    head = next(b for b in branches if b is not low[0])
    self._add('decoder/low_level', points[0])
    for n, block in enumerate(blocks, 1):
      self._add_block(f'decoder/conv{n}', block)
    self._order('decoder/conv1', blocks[0], origin, [head, low[0]])
    return self._upsampled(head)

  def _branches(self, node: Node) -> list[Node]:
    """What is concatenated, also in several steps."""
    if node.kind != 'concat':
      return []
    found, waiting = [], [node]
    while waiting:
      part = waiting.pop()
      if part.kind == 'concat':
        waiting += reversed(part.inputs)
      else:
        found.append(part)
      # Joined with itself again and again it would be without end.
      if len(found) > _MOST_BRANCHES:
        raise self._unknown(node, f'at most {_MOST_BRANCHES} branches')
    return found

  def _aspp(self, x: Node) -> None:
    origin, chain = self._chain(x)
    if origin is self.features and len(chain) > 1 and are_points(chain[:2]):
      # Of one branch, which needs no concatenation.
      branches, chain = [chain[0]], chain[1:]
    else:
      branches = self._branches(origin)
    if not branches or not chain or not chain[0].is_point():
      raise self._unknown(x, 'a head of the kind aspp, global_pool or none')
    project, rest = chain[0], self._blocks(chain[1:], 'head')
    if len(rest) > 1 or (rest and rest[0].size != 3):
      raise self._unknown(x, 'a projection and at most one 3x3 behind it')
    self.keys |= {
      'head': 'aspp',
      'head_channels': project.features,
      'head_conv3x3': bool(rest),
      'image_pooling': False,
      'image_pooling_window': (),
    }
    point, atrous, pooling = self._kinds(branches, origin)
    stride = self.network.encoder.output_stride
    self.keys['atrous_rates'] = tuple(
      b.rate * stride / 16 if b.rate * stride % 16 else b.rate * stride // 16
      for b, _ in atrous
    )
    if atrous or rest:
      separable = {b.separable for b in (*(b for b, _ in atrous), *rest)}
      if len(separable) > 1:
        raise self._unknown(origin, '3x3 convolutions of one kind')
      self.keys['head_separable'] = separable.pop()
    for n, (block, _) in enumerate(atrous, 1):
      self._add_block(f'head/aspp/branch{n}', block)
    for block in rest:
      self._add_block('head/conv3x3', block)
    self._add('head/project', project)
    order = [*point, *(node for _, node in atrous), *pooling]
    self._order('head/project', Block([project]), origin, order)

  def _kinds(self, branches, origin):
    """Branches as lists: the 1x1, (block, node) by rate, image pooling."""
    point, atrous, pooling = [], [], []
    for branch in branches:
      start, chain = self._chain(self._upsampled(branch))
      if isinstance(start, Pool) and start.inputs[0] is self.features:
        if not are_points(chain, 1):
          raise self._unknown(branch, 'a 1x1 convolution of the means')
        pooling.append(branch)
        self._add('head/aspp/image_pooling', chain[0])
        self._note_window(start)
      elif start is not self.features:
        raise self._unknown(branch, "a branch of the encoder's last features")
      elif are_points(chain, 1):
        point.append(branch)
        self._add('head/aspp/branch0', chain[0])
      else:
        blocks = self._blocks(chain, 'head')
        if len(blocks) != 1 or blocks[0].size != 3:
          raise self._unknown(branch, 'one 3x3 convolution')
        atrous.append((blocks[0], branch))
    if len(point) != 1 or len(pooling) > 1 or len(atrous) not in (0, 3):
      raise self._unknown(
        origin, 'a 1x1, none or three 3x3 and at most one of means, together'
      )
    return point, sorted(atrous, key=lambda pair: pair[0].rate), pooling

  def _note_window(self, pool: Pool) -> None:
    self.keys['image_pooling'] = True
    if pool.window:
      stride = self.network.encoder.output_stride
      self.keys['image_pooling_window'] = tuple(
        (n - 1) * stride + 1 for n in pool.window
      )

  def _blocks(self, chain: list[Conv], part: str) -> list[Block]:
    """Plain convolutions, and depthwise ones with the 1x1 behind them."""
    blocks, rest = [], list(chain)
    while rest:
      block = Block([rest.pop(0)])
      if block.separable:
        if not rest or not rest[0].is_point():
          raise self._unknown(block.first, 'a 1x1 convolution behind it')
        block.convs.append(rest.pop(0))
        inner = block.first.activation != 'none'
        if not inner and block.first.shift.any():
          raise self._unknown(
            block.first, 'a ReLU behind its batch norm, or no batch norm'
          )
        if self.keys.setdefault('separable_inner_bn', inner) != inner:
          raise self._unknown(block.first, 'batch norm as in the other layers')
      blocks.append(block)
    return blocks

  def _add(self, path: str, conv: Conv) -> None:
    self.network.convs[path] = conv

  def _add_block(self, path: str, block: Block) -> None:
    if block.separable:
      self._add(f'{path}/depthwise', block.first)
      self._add(f'{path}/pointwise', block.last)
    else:
      self._add(path, block.first)

  def _order(self, path, block, origin, branches) -> None:
    """Notes the order of channels behind a concatenation."""
    theirs = self._branches(origin)
    if not theirs:
      return
    ends = np.cumsum([b.shape[-1] for b in theirs])
    places = {b: range(e - b.shape[-1], e) for b, e in zip(theirs, ends)}
    order = np.concatenate([places[b] for b in branches]).astype(int)
    paths = [path]
    if block.separable:
      paths = [f'{path}/depthwise', f'{path}/pointwise']
    if (np.diff(order) != 1).any():
      self.network.orders |= dict.fromkeys(paths, order)

  def _unknown(self, node: Node, expected: str) -> WeightsError:
    sources = ', '.join(n.tensor for n in node.inputs[:4])
    return WeightsError(
      f'{self.graph.name}: expected {expected} at {node.tensor!r}, found '
      f'{node.op} of {sources}. It is none of the heads and decoders here.'
    )
