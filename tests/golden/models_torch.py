"""Makes models.npz: what PyTorch computes with weights drawn by name.

In an environment of its own; deeplax takes no part but in drawing the numbers:

    python -m venv /tmp/torch
    /tmp/torch/bin/pip install torch==2.14.1 torchvision==0.29.1 jax flax
    PYTHONPATH=. /tmp/torch/bin/python tests/golden/models_torch.py

`tests/models/test_golden.py` draws the same weights and pictures again, and
compares. Of the features of ResNet-50 every 16th or 64th channel is stored.
"""

import pathlib

import numpy as np
import torch
import torchvision

from tests.models import torch_networks
from tests.models.torch_weights import picture

SEED = 0
PATH = pathlib.Path(__file__).with_name('models.npz')


def course_r18() -> torch.Tensor:
  """Logits of the course's network, before they are upsampled."""
  module = torch_networks.Course('18').eval()
  torch_networks.load(module, seed=SEED)
  x = torch_networks.normalized(picture(33, 321))
  return module.logits(module.aspp(module.backbone(x)))


def resnet50() -> list[torch.Tensor]:
  """Features of torchvision's ResNet-50 at output stride 8."""
  module = torchvision.models.resnet50(
    replace_stride_with_dilation=(False, True, True)
  ).eval()
  del module.fc
  torch_networks.load(module, seed=SEED)
  return torch_networks.stages(
    module, torch_networks.normalized(picture(48, 64))
  )


def main():
  arrays = {'course_r18': course_r18()}
  for i, x in enumerate(resnet50(), start=1):
    arrays[f'resnet50_stage{i}'] = x[:, :: 16 if i == 1 else 64]
  np.savez_compressed(
    PATH, **{k: np.moveaxis(x.numpy(), 1, -1) for k, x in arrays.items()}
  )
  print(f'{PATH}: {PATH.stat().st_size} bytes')


if __name__ == '__main__':
  with torch.no_grad():
    main()
