"""Networks of PyTorch with drawn weights, and the same weights as ours.

Weights take the way of a user: a file of the original's, `pretrained.read`
and `pretrained.fill`.
"""

import numpy as np
import safetensors.torch
import torch

from deeplax import models, pretrained
from tests.models import torch_networks
from tests.pretrained.checks import check


def save(module, path, seed=0):
  """Draws all weights of a module and writes its file; returns the names."""
  module.eval()
  names = torch_networks.load(module, seed=seed)
  if path.suffix == '.safetensors':
    safetensors.torch.save_file(module.state_dict(), path)
  else:
    torch.save(module.state_dict(), path)
  return names


def fill(source, path, classes, keys):
  """Ours, its variables from that file, and the report; removes the file."""
  model = models.build(classes, **keys)
  file = pretrained.read(source, path)
  path.unlink()
  variables, report = pretrained.fill(
    source, file, models.initialize(model, seed=1), options=keys
  )
  return model, variables, report


def convert(source, module, path, classes, **keys):
  """Ours, and its variables with every weight of the module in them."""
  names = save(module, path)
  model, variables, report = fill(source, path, classes, keys)
  taken = {name for _, theirs, _ in report.taken for name in theirs}
  assert taken == names
  assert not report.missing
  return model, variables


def symmetric(image):
  """uint8 `[B, H, W, 3]` to -1..1, `[B, 3, H, W]`."""
  x = torch.as_tensor(image).permute(0, 3, 1, 2).float()
  return x / 127.5 - 1


def channels_last(x):
  return np.moveaxis(x.detach().numpy(), 1, -1)


def check_logits(
  what,
  model,
  variables,
  module,
  image,
  *,
  ours=lambda y: y[0],
  out=lambda y: y,
):
  """Compares logits at the size of the picture.

  Args:
    what: For messages.
    model: Ours, with `variables`.
    module: PyTorch's.
    image: uint8 `[B, H, W, 3]`.
    ours: Takes the logits from what the model returns.
    out: Takes them from what the module returns.
  """
  # Not jitted as a whole: equal layers then share what was compiled.
  logits = ours(model.apply(variables, image, train=False))
  found = model.grid.resize(logits, image.shape[1:3])
  with torch.no_grad():
    expected = out(module(torch_networks.normalized(image)))
  assert found.dtype == np.float32
  check(what, found, channels_last(expected))


def check_stages(what, model, variables, features, x):
  """Compares the encoder's `stage1` to `stage5` with features of `x`.

  Args:
    what: For messages.
    model: Ours, with `variables`.
    features: What the original makes of `x`, stage by stage.
    x: Normalised pictures, `[B, 3, H, W]`.
  """
  endpoints = model.encoder.apply(
    {name: tree.get('encoder', {}) for name, tree in variables.items()},
    np.moveaxis(x.numpy(), 1, -1),
    train=False,
  )
  for n, y in enumerate(features, 1):
    check(f'{what} stage{n}', endpoints[f'stage{n}'], channels_last(y))
