"""Networks in plain PyTorch that torchvision does not have.

Written from the papers and from what is known of the course project, and
sharing nothing with deeplax but the weights of `torch_weights.py`.
"""

import torch
from torch import nn
from torch.nn import functional

from tests.models import torch_weights

UNITS = {'18': (2, 2, 2, 2), '34': (3, 4, 6, 3), '50': (3, 4, 6, 3)}


def normalized(image, dtype=torch.float32) -> torch.Tensor:
  """uint8 `[B, H, W, 3]` as torchvision's weights want it, `[B, 3, H, W]`."""
  x = torch.as_tensor(image).permute(0, 3, 1, 2).to(dtype) / 255
  mean = torch.tensor([0.485, 0.456, 0.406], dtype=dtype)
  deviation = torch.tensor([0.229, 0.224, 0.225], dtype=dtype)
  return (x - mean[:, None, None]) / deviation[:, None, None]


def load(module: nn.Module, *, seed: int) -> set[str]:
  """Fills a module by name, in its own dtype; returns the names."""
  drawn = {
    name: torch.from_numpy(torch_weights.draw(name, tuple(old.shape), seed)).to(
      old.dtype
    )
    for name, old in module.state_dict().items()
    if not name.endswith('num_batches_tracked')
  }
  module.load_state_dict(drawn, strict=False)
  return set(drawn)


def upsampled(x: torch.Tensor, size) -> torch.Tensor:
  return functional.interpolate(x, size, mode='bilinear', align_corners=False)


class Basic(nn.Module):
  expansion = 1

  def __init__(self, inputs, width, stride, rate):
    super().__init__()
    self.conv1 = nn.Conv2d(
      inputs, width, 3, stride, padding=rate, dilation=rate, bias=False
    )
    self.bn1 = nn.BatchNorm2d(width)
    self.conv2 = nn.Conv2d(
      width, width, 3, padding=rate, dilation=rate, bias=False
    )
    self.bn2 = nn.BatchNorm2d(width)
    self.downsample = shortcut(inputs, width, stride)

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    return functional.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
  expansion = 4

  def __init__(self, inputs, width, stride, rate):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(width)
    self.conv2 = nn.Conv2d(
      width, width, 3, stride, padding=rate, dilation=rate, bias=False
    )
    self.bn2 = nn.BatchNorm2d(width)
    self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(4 * width)
    self.downsample = shortcut(inputs, 4 * width, stride)

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def shortcut(inputs, outputs, stride):
  if stride == 1 and inputs == outputs:
    return nn.Identity()
  return nn.Sequential(
    nn.Conv2d(inputs, outputs, 1, stride, bias=False),
    nn.BatchNorm2d(outputs),
  )


class CourseResNet(nn.Module):
  """The course's encoder: strides of torchvision, then stages of one rate.

  At output stride 16 torchvision's first three stages and a fresh one of
  rate 2 in every convolution; at 8 the first two, and fresh ones of rates 2
  and 4.
  """

  def __init__(self, depth, output_stride, width):
    super().__init__()
    self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
    self.bn1 = nn.BatchNorm2d(64)
    plan = {16: ((1, 1), (2, 1), (2, 1), (1, 2))}
    plan[8] = ((1, 1), (2, 1), (1, 2), (1, 4))
    block = Basic if depth in ('18', '34') else Bottleneck
    inputs = 64
    for i, (stride, rate) in enumerate(plan[output_stride]):
      units = []
      for j in range(UNITS[depth][i]):
        units.append(block(inputs, width * 2**i, stride if j == 0 else 1, rate))
        inputs = block.expansion * width * 2**i
      setattr(self, f'layer{i + 1}', nn.Sequential(*units))
    self.outputs = inputs

  def forward(self, x):
    x = functional.relu(self.bn1(self.conv1(x)))
    x = functional.max_pool2d(x, 3, 2, padding=1)
    return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class CourseAspp(nn.Module):
  """Five branches with biases and batch norm; rates 6, 12, 18 at any stride."""

  def __init__(self, inputs, features):
    super().__init__()

    def branch(*start, size=1, rate=1):
      return nn.Sequential(
        *start,
        nn.Conv2d(
          inputs, features, size, padding=size // 2 * rate, dilation=rate
        ),
        nn.BatchNorm2d(features),
        nn.ReLU(),
      )

    self.convs = nn.ModuleList(
      [
        branch(),
        *(branch(size=3, rate=rate) for rate in (6, 12, 18)),
        branch(nn.AdaptiveAvgPool2d(1)),
      ]
    )
    self.project = nn.Sequential(
      nn.Conv2d(5 * features, features, 1),
      nn.BatchNorm2d(features),
      nn.ReLU(),
    )

  def forward(self, x):
    *branches, pooled = (conv(x) for conv in self.convs)
    pooled = upsampled(pooled, x.shape[2:])
    return self.project(torch.cat([*branches, pooled], 1))


class Course(nn.Module):
  """The course's DeepLabV3: fregu856/deeplabv3 and its fork.

  `width` and `features` are smaller in tests of the training rules only.
  """

  def __init__(
    self, depth, classes=20, output_stride=16, width=64, features=256
  ):
    super().__init__()
    self.backbone = CourseResNet(depth, output_stride, width)
    self.aspp = CourseAspp(self.backbone.outputs, features)
    self.logits = nn.Conv2d(features, classes, 1)

  def forward(self, x):
    """Logits at the size of the picture."""
    logits = self.logits(self.aspp(self.backbone(x)))
    return upsampled(logits, x.shape[2:])


class V3Plus(nn.Module):
  """DeepLabV3+ (arXiv:1802.02611) around an encoder and a pyramid.

  Args:
    backbone: A torchvision ResNet.
    aspp: `stage5 features -> [B, 256, h, w]`.
    low: Channels of its first stage.
    classes: Of the logits.
  """

  def __init__(self, backbone, aspp, low, classes):
    super().__init__()

    def conv(inputs, outputs, size):
      return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
      )

    del backbone.fc
    self.backbone, self.aspp = backbone, aspp
    self.low_level = conv(low, 48, 1)
    self.conv1 = conv(256 + 48, 256, 3)
    self.conv2 = conv(256, 256, 3)
    self.logits = nn.Conv2d(256, classes, 1)

  def forward(self, x):
    """Logits at stride 4."""
    low, *_, high = stages(self.backbone, x)[1:]
    low = self.low_level(low)
    x = torch.cat([upsampled(self.aspp(high), low.shape[2:]), low], 1)
    return self.logits(self.conv2(self.conv1(x)))


def stages(resnet: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
  """The root before its max pool, and four stages, of a torchvision ResNet."""
  x = resnet.relu(resnet.bn1(resnet.conv1(x)))
  result = [x]
  x = resnet.maxpool(x)
  for i in range(1, 5):
    x = getattr(resnet, f'layer{i}')(x)
    result.append(x)
  return result
