"""Five steps of training against PyTorch's optimisers and loss, in float64.

A thin network of the course's structure, batch norm training; our own train
step, loss, optimiser and schedule.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deeplax import (
  losses,
  models,
  objective,
  optimizers,
  sharding,
  state,
  steps,
)
from tests.models import torch_weights

torch = pytest.importorskip('torch')

from tests.models import torch_networks  # noqa: E402

pytestmark = pytest.mark.peer

CLASSES = 5
WEIGHTS = (0.5, 1.0, 2.0, 4.0, 1.5)
STEPS, TOTAL = 5, 8
DECAY = 1e-2


def batches():
  result = []
  for i in range(STEPS):
    image = torch_weights.picture(33, 49 + i, 4)[:, :, :49]
    label = image[..., 1] // 43  # five classes, and one to ignore
    label[label == 5] = 255
    result.append({'image': image, 'label': label, 'valid': np.ones(4, bool)})
  return result


def network():
  model = models.build(
    CLASSES,
    variant='18_course',
    head_channels=8,
    head_bias=True,
    dropout=0.0,
    decoder='none',
    dtype='float64',
  )
  return model.clone(encoder=model.encoder.clone(width=4))


def train(options, peak):
  """Ours; parameters by PyTorch's names, and the metrics of each step."""
  mesh = sharding.make_mesh(devices=jax.devices()[:1])
  poly = optimizers.make_schedule(
    name='poly', peak=peak, total_steps=TOTAL, power=0.9
  )

  def schedule(step):
    # Of an int32 step, jax takes the quotient in float32, in 64-bit mode too.
    return poly(jnp.asarray(step, float))

  tx = optimizers.make_optimizer(schedule, weight_decay=DECAY, **options)
  model = network()

  def loss_fn(logits, labels, step):
    del step
    return losses.cross_entropy(
      logits,
      labels,
      class_weights=np.array(WEIGHTS),
      label_smoothing=0.1,
      normalize_by='weights',
    )

  sums = objective.make_gradient_sums(model, loss_fn=loss_fn)
  step = steps.make_train_step(sums, tx, mesh=mesh, schedule=schedule)
  variables, _ = torch_weights.ours(model, 'own', seed=1, dtype='float64')
  current = state.create_state(
    sharding.put_replicated(variables, mesh), tx, seed=0
  )
  current = sharding.put_replicated(current, mesh)
  rows = []
  for batch in batches():
    current, metrics = step(current, sharding.put_batch(batch, mesh))
    rows.append({k: float(v) for k, v in metrics.items()})
  params = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(current.params):
    path, leaf = '/'.join(key.key for key in path), np.asarray(leaf)
    if leaf.ndim == 4:
      leaf = leaf.transpose(3, 2, 0, 1)
    params[torch_weights.torch_name(path, 'own')] = leaf
  return params, rows


def train_in_pytorch(make, peak, kernels_only, encoder_lr_mult):
  module = torch_networks.Course('18', CLASSES, width=4, features=8).double()
  torch_networks.load(module, seed=1)
  module.train()
  groups = []
  for name, p in module.named_parameters():
    decays = p.ndim > 1 or not kernels_only
    mult = encoder_lr_mult if name.startswith('backbone') else 1.0
    groups.append(
      dict(params=[p], lr=peak * mult, weight_decay=DECAY if decays else 0.0)
    )
  optimizer = make(groups)
  schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, TOTAL, 0.9)
  criterion = torch.nn.CrossEntropyLoss(
    weight=torch.tensor(WEIGHTS, dtype=torch.float64),
    ignore_index=255,
    label_smoothing=0.1,
  )
  rows = []
  for batch in batches():
    x = torch_networks.normalized(batch['image'], torch.float64)
    loss = criterion(module(x), torch.from_numpy(batch['label']).long())
    optimizer.zero_grad()
    loss.backward()
    grads = torch.cat([p.grad.ravel() for p in module.parameters()])
    rows.append(
      {
        'loss': loss.item(),
        'gradient_norm': grads.norm().item(),
        # The last group's: that of the logits.
        'learning_rate': schedule.get_last_lr()[-1],
      }
    )
    optimizer.step()
    schedule.step()
  return {k: p.detach().numpy() for k, p in module.named_parameters()}, rows


# Name -> our options, PyTorch's optimiser, peak learning rate.
RULES = {
  'sgd': (
    dict(name='sgd', decay_mask='kernels', encoder_lr_mult=0.1),
    lambda groups: torch.optim.SGD(groups, momentum=0.9),
    0.05,
  ),
  'nesterov': (
    dict(name='sgd', nesterov=True),
    lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
    0.05,
  ),
  'adam': (
    dict(name='adam', b1=0.8, b2=0.99),
    lambda groups: torch.optim.Adam(groups, betas=(0.8, 0.99)),
    0.01,
  ),
  'adam of kernels': (  # the course's
    dict(name='adam', decay_mask='kernels'),
    lambda groups: torch.optim.Adam(groups),
    0.01,
  ),
  'adamw': (
    dict(name='adamw', encoder_lr_mult=0.1),
    lambda groups: torch.optim.AdamW(groups),
    0.01,
  ),
}


@pytest.mark.parametrize('rule', RULES)
def test_five_steps_equal_pytorch(rule):
  options, make, peak = RULES[rule]
  with jax.enable_x64(True):
    ours, our_rows = train(options, peak)
  theirs, their_rows = train_in_pytorch(
    make,
    peak,
    options.get('decay_mask') == 'kernels',
    options.get('encoder_lr_mult', 1.0),
  )
  assert our_rows[-1]['loss'] != our_rows[0]['loss']
  for found, expected in zip(our_rows, their_rows, strict=True):
    assert {k: found[k] for k in expected} == pytest.approx(expected, rel=1e-9)
  assert ours.keys() == theirs.keys()
  worst = max(np.abs(ours[name] - theirs[name]).max() for name in theirs)
  print(rule, worst)  # shown by pytest -rP
  # Where it is largest, a bias before batch norm: its gradient is 0 but for
  # rounding, which Adam divides by its own size.
  assert worst < 1e-9
