"""PyTorch's side: SMP's network, torch's optimiser, schedule and loss."""

import sys
import time

import ml_collections
import numpy as np
import torch
import tqdm
from torch.nn import functional
from torch.optim import lr_scheduler

from deeplax import data
from deeplax.benchmark import peers
from deeplax.benchmark.peers import networks
from deeplax.data import pipeline
from tests.models.torch_networks import normalized
from tests.side_by_side.curve import Curve

_IGNORE = 255


def num_classes(config: ml_collections.ConfigDict) -> int:
  """Of the data set of a config."""
  return data.info(config.dataset.name, config.dataset.dir).num_classes


def train(
  config: ml_collections.ConfigDict,
  batches: dict[str, np.ndarray],
  weights: dict[str, np.ndarray],
  *,
  evaluate: bool = True,
) -> Curve:
  """Trains, and evaluates; the arguments are those of `ours.train`."""
  info = data.info(config.dataset.name, config.dataset.dir)
  choice = peers.choose('smp', config.model)
  module = networks.build(choice, info.num_classes)
  module.load_state_dict({k: torch.tensor(x) for k, x in weights.items()})
  dtype = getattr(torch, config.model.dtype)
  module.to(dtype).train()
  optimizer = torch.optim.SGD(
    module.parameters(),
    lr=config.schedule.peak,
    momentum=config.optimizer.momentum,
    weight_decay=config.optimizer.weight_decay,
    nesterov=config.optimizer.nesterov,
  )
  schedule = _schedule(optimizer, config)
  rows, start = [], time.perf_counter()
  bar = tqdm.tqdm(
    zip(batches['image'], batches['label']),
    desc='PyTorch',
    total=len(batches['image']),
    leave=False,
    disable=not sys.stderr.isatty(),
  )
  for image, label in bar:
    logits = module(normalized(image, dtype))
    loss = functional.cross_entropy(
      logits, torch.from_numpy(label).long(), ignore_index=_IGNORE
    )
    optimizer.zero_grad()
    loss.backward()
    rows.append((loss.item(), schedule.get_last_lr()[0]))
    optimizer.step()
    schedule.step()
  losses, rates = np.array(rows).T
  seconds = time.perf_counter() - start
  if not evaluate:
    return Curve(losses, rates, seconds=seconds)
  return Curve(losses, rates, *_evaluate(config, module, info), seconds)


def _schedule(optimizer, config):
  """A linear warm-up, and then the polynomial."""
  warmup, total = config.schedule.warmup_steps, config.total_steps
  poly = lr_scheduler.PolynomialLR(
    optimizer, total - warmup, config.schedule.power
  )
  if not warmup:
    return poly
  linear = lr_scheduler.LinearLR(
    optimizer, 1 / (warmup + 1), total_iters=warmup
  )
  return lr_scheduler.SequentialLR(optimizer, [linear, poly], [warmup])


@torch.no_grad()
def _evaluate(config, module, info):
  """mIoU over the classes that occur, and the loss of a pixel."""
  module.eval()
  dtype = getattr(torch, config.model.dtype)
  classes = info.num_classes
  confusion, total = np.zeros((classes, classes), np.int64), 0.0
  source = data.source(
    config.dataset.name, config.dataset.eval_split, config.dataset.dir
  )
  with pipeline.eval_batches(
    source, ops=config.input.eval, batch_size=config.batch_size
  ) as batches:
    for batch in batches:
      logits = module(normalized(batch['image'], dtype))
      label = torch.from_numpy(batch['label']).long()
      label[~torch.from_numpy(batch['valid'])] = _IGNORE
      total += functional.cross_entropy(
        logits, label, ignore_index=_IGNORE, reduction='sum'
      ).item()
      counted = label != _IGNORE
      index = label[counted] * classes + logits.argmax(1)[counted]
      counts = torch.bincount(index, minlength=classes**2)
      confusion += counts.reshape(classes, classes).numpy()
  hits = np.diag(confusion)
  unions = confusion.sum(0) + confusion.sum(1) - hits
  iou = hits[unions > 0] / unions[unions > 0]
  return float(iou.mean()), total / confusion.sum()
