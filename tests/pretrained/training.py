"""One step of training, here and in PyTorch, from the same weights."""

import jax
import numpy as np
import torch

from deeplax import losses
from tests.models import torch_networks
from tests.models.torch_weights import picture

TOLERANCE = 1e-6
CLASSES = 5


def batch(height, width, pictures):
  """Pictures, and labels of which some are to be ignored."""
  image = picture(height, width, pictures)
  label = image[..., 1] // 43  # 0 to 5
  return image, np.where(label == CLASSES, 255, label)


def theirs(module, image, label, out):
  """Loss, and by name the gradients and new running statistics."""
  module.train()
  loss = torch.nn.functional.cross_entropy(
    out(module(torch_networks.normalized(image, torch.float64))),
    torch.from_numpy(label).long(),
    ignore_index=255,
  )
  loss.backward()
  arrays = {name: p.grad for name, p in module.named_parameters()}
  for name, x in module.named_buffers():
    if not name.endswith('num_batches_tracked'):
      arrays[name] = x
  return float(loss.detach()), {n: x.numpy() for n, x in arrays.items()}


def ours(model, variables, image, label):
  """Loss, and by path the gradients and new running statistics."""

  @jax.jit
  def gradient(params, batch_stats):
    def loss(params):
      (logits, _), updates = model.apply(
        {'params': params, 'batch_stats': batch_stats},
        image,
        train=True,
        mutable=['batch_stats'],
      )
      logits = model.grid.resize(logits, label.shape[1:])
      total, weight = losses.cross_entropy(logits, label)
      return total / weight, updates['batch_stats']

    return jax.value_and_grad(loss, has_aux=True)(params)

  (loss, stats), grads = gradient(variables['params'], variables['batch_stats'])
  tree = {'params': grads, 'batch_stats': stats}
  return float(loss), {
    jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def check_step(model, variables, report, module, image, label, out):
  """Fails where a gradient or statistic differs by more than `TOLERANCE`.

  Args:
    model: Ours, in float64, without dropout, with `bn_unbiased`.
    variables: Of it.
    report: Of `pretrained.fill`: which of our arrays is which of theirs.
    module: PyTorch's, in float64.
    image: uint8 `[B, H, W, 3]`.
    label: `[B, H, W]`.
    out: Takes the logits from what the module returns.
  """
  expected_loss, expected = theirs(module, image, label, out)
  loss, found = ours(model, variables, image, label)
  assert abs(loss - expected_loss) < 1e-9 * abs(expected_loss)
  largest = max(
    np.abs(x).max() for n, x in expected.items() if 'running' not in n
  )
  worst = {'params': 0.0, 'batch_stats': 0.0}
  for path, names, _ in report.taken:
    a, b = found.pop(path), expected.pop(names[0])
    if a.ndim == 4:
      a = a.transpose(3, 2, 0, 1)
    assert a.shape == b.shape
    kind = path.split('/')[0]
    # Gradients that are 0 but for rounding have no scale of their own.
    floor = 1e-3 * largest if kind == 'params' else 0.0
    difference = np.abs(a - b).max() / max(np.abs(b).max(), floor)
    worst[kind] = max(worst[kind], float(difference))
  print(worst)  # shown by pytest -rP
  assert not found and not expected
  assert max(worst.values()) < TOLERANCE
