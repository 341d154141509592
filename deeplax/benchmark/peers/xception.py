"""DeepLabV3+ over timm's Aligned Xception, as the authors have it.

No library of PyTorch's has it: the encoder is timm's, the rest is written here,
layer by layer as ours (configs/x65.py).
"""

import itertools

import timm
import torch
from torch import nn
from torch.nn import functional


class V3PlusXception(nn.Module):
  """Logits at the size of the picture.

  Args:
    encoder: timm's name, `'xception65'`.
    classes: Of the logits.
    output_stride: Of the encoder: 8 or 16.
    rates: Of the three atrous branches, as they are applied.
    channels: Of each branch, of the head and of the decoder.
    layers: Separable convolutions of the decoder.
    low_level_channels: What the early features are reduced to.
    dropout: Rate, behind the head.
    align_corners: Of every upsampling.
  """

  def __init__(
    self,
    encoder: str,
    classes: int,
    *,
    output_stride: int,
    rates: tuple[int, ...],
    channels: int,
    layers: int,
    low_level_channels: int,
    dropout: float,
    align_corners: bool,
  ):
    super().__init__()
    self.align_corners = align_corners
    self.encoder = timm.create_model(
      encoder, num_classes=0, global_pool='', output_stride=output_stride
    )
    deep = self.encoder.num_features
    # Of the unit that goes from stride 4 to 8.
    strided = [
      i
      for i, block in enumerate(self.encoder.blocks)
      if block.stack.conv3.conv_dw.stride == (2, 2)
    ]
    self.low_level_at = strided[1]
    low = self.encoder.blocks[strided[1]].stack.conv2.conv_pw.out_channels
    self.branch0 = conv_bn(deep, channels)
    self.branches = nn.ModuleList(
      separable(deep, channels, rate) for rate in rates
    )
    self.image_pooling = conv_bn(deep, channels)
    self.project = conv_bn((2 + len(rates)) * channels, channels)
    self.dropout = nn.Dropout(dropout)
    self.low_level = conv_bn(low, low_level_channels)
    widths = [channels + low_level_channels, *[channels] * layers]
    self.decoder = nn.Sequential(
      *(separable(i, o) for i, o in itertools.pairwise(widths))
    )
    self.logits = nn.Conv2d(channels, classes, 1)

  def forward(self, image: torch.Tensor) -> torch.Tensor:
    """`[B, 3, H, W]` to `[B, classes, H, W]`."""
    x = self.encoder.stem(image)
    for i, block in enumerate(self.encoder.blocks):
      if i == self.low_level_at:
        x, low = tapped(block, x)
      else:
        x = block(x)
    x = self.head(x)
    low = self.low_level(low)
    x = self.decoder(torch.cat([self.resized(x, low), low], 1))
    return self.resized(self.logits(x), image)

  def head(self, x: torch.Tensor) -> torch.Tensor:
    """Atrous spatial pyramid pooling and its projection."""
    pooled = self.image_pooling(x.mean((2, 3), keepdim=True))
    branches = [branch(x) for branch in self.branches]
    x = torch.cat([self.branch0(x), *branches, self.resized(pooled, x)], 1)
    return self.dropout(self.project(x))

  def resized(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Bilinear, at another's size."""
    return functional.interpolate(
      x, like.shape[2:], mode='bilinear', align_corners=self.align_corners
    )


def tapped(block: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
  """A unit of timm's, and its second convolution before the ReLU."""
  stack = block.stack
  # timm's own ReLUs are in place, and would spoil what is tapped.
  y = stack.conv1(functional.relu(x))
  low = stack.conv2(functional.relu(y))
  return stack.conv3(functional.relu(low)) + block.shortcut(x), low


def conv_bn(inputs: int, outputs: int, **keys) -> nn.Sequential:
  """Convolution, batch norm and ReLU."""
  return nn.Sequential(
    nn.Conv2d(inputs, outputs, keys.pop('size', 1), bias=False, **keys),
    nn.BatchNorm2d(outputs),
    nn.ReLU(inplace=True),
  )


def separable(inputs: int, outputs: int, rate: int = 1) -> nn.Sequential:
  """Depthwise 3x3 and 1x1, each with batch norm and ReLU."""
  depthwise = conv_bn(
    inputs, inputs, size=3, padding=rate, dilation=rate, groups=inputs
  )
  return nn.Sequential(depthwise, conv_bn(inputs, outputs))
