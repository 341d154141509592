"""What `benchmark_ops` measures: the layers of the family."""

import dataclasses

from deeplax.ops.lowerings import choice


@dataclasses.dataclass(frozen=True)
class Case:
  """Something that can be computed in several ways.

  Attributes:
    kind: Of `choice.CHOICES`.
    channels: Of the input.
    map: Height and width of the input.
    outputs: Channels of the result of a convolution, or of a branch; of a
      stage, its width.
    size: Side of a convolution's kernel.
    stride: Of a convolution.
    rate: Of a convolution or stage, or the largest of a pyramid.
  """

  kind: str
  channels: int
  map: int
  outputs: int
  size: int = 3
  stride: int = 1
  rate: int = 1

  def shape(self, train: bool) -> choice.Shape:
    """The class it stands for."""
    return choice.shape_of(
      self.kind,
      self.map,
      self.map,
      self.channels,
      rate=self.rate,
      train=train,
      stride=self.stride,
    )


# The layers of the family at crops of 256 to 768 pixels.
CASES = (
  Case('dense', 3, 256, 64, size=7, stride=2),
  *(
    Case('dense', channels, side, channels)
    for channels, side in (
      (64, 64),
      (64, 128),
      (128, 32),
      (256, 16),
      (256, 48),
      (256, 96),
      (512, 16),
      (512, 32),
    )
  ),
  Case('dense', 304, 64, 256),
  Case('dense', 128, 64, 128, stride=2),
  Case('dense', 256, 32, 256, stride=2),
  *(
    Case('dense', channels, side, channels, rate=rate)
    for channels, side, rate in (
      (256, 32, 2),
      (256, 96, 2),
      (512, 16, 2),
      (512, 48, 2),
      (512, 32, 4),
      (512, 96, 4),
      (512, 48, 8),
    )
  ),
  *(
    Case('dense', channels, side, 256, rate=rate)
    for channels, side, rate in (
      (512, 16, 6),
      (512, 16, 12),
      (2048, 16, 6),
      (2048, 16, 12),
      (2048, 48, 6),
      (2048, 48, 18),
      (2048, 96, 36),
    )
  ),
  *(
    Case('depthwise', channels, side, channels, stride=stride, rate=rate)
    for channels, side, stride, rate in (
      (128, 128, 1, 1),
      (256, 64, 1, 1),
      (728, 16, 1, 1),
      (728, 48, 1, 1),
      (1536, 16, 1, 1),
      (256, 64, 2, 1),
      (728, 32, 2, 1),
      (728, 96, 1, 2),
      (1536, 16, 1, 2),
      (1536, 48, 1, 2),
      (1536, 96, 1, 4),
      (2048, 16, 1, 12),
      (2048, 48, 1, 18),
    )
  ),
  Case('dense_stage', 256, 16, 512, rate=2),
  Case('dense_stage', 1024, 16, 512, rate=2),
  Case('dense_stage', 1024, 48, 512, rate=2),
  Case('dense_stage', 1024, 96, 512, rate=4),
  Case('depthwise_stage', 728, 96, 728, rate=2),
  Case('depthwise_stage', 1024, 16, 1536, rate=2),
  Case('depthwise_stage', 1024, 48, 1536, rate=2),
  Case('aspp', 512, 16, 256, rate=18),
  Case('aspp', 2048, 16, 256, rate=18),
  Case('aspp', 2048, 48, 256, rate=18),
  Case('aspp', 2048, 96, 256, rate=36),
)
