"""Modules of PyTorch by choice: built, counted."""

import copy
import importlib

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from deeplax.benchmark.peers import Choice
from deeplax.benchmark.peers.xception import V3PlusXception


def build(choice: Choice, classes: int) -> nn.Module:
  """The network, with fresh weights: nothing is downloaded."""
  if choice.library == 'timm':
    return V3PlusXception(classes=classes, **choice.keys)
  if choice.library == 'torchvision':
    networks = importlib.import_module('torchvision.models.segmentation')
    return getattr(networks, choice.network)(
      weights=None, weights_backbone=None, num_classes=classes, **choice.keys
    )
  networks = importlib.import_module('segmentation_models_pytorch')
  return getattr(networks, choice.network)(
    encoder_weights=None, classes=classes, **choice.keys
  )


def logits(module: nn.Module, image: torch.Tensor) -> torch.Tensor:
  """`[B, classes, H, W]` at the picture's size; torchvision's is in a dict."""
  result = module(image)
  return result['out'] if isinstance(result, dict) else result


def count_parameters(module: nn.Module) -> int:
  """Those that are trained."""
  return sum(p.numel() for p in module.parameters())


def forward_flops(module: nn.Module, size: tuple[int, int]) -> int:
  """Operations of one picture, by PyTorch's own count; nothing is computed."""
  shadow = copy.deepcopy(module).to('meta').eval()
  image = torch.zeros(1, 3, *size, device='meta')
  with FlopCounterMode(display=False) as counter, torch.no_grad():
    logits(shadow, image)
  return counter.get_total_flops()
