"""Steps of a PyTorch network under its best settings."""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import torch
from torch.nn import functional

from deeplax.benchmark import timing
from deeplax.benchmark.machine import versions
from deeplax.benchmark.peers import Choice, networks
from deeplax.benchmark.subject import Subject
from deeplax.errors import RunError
from deeplax.models import norms

_WARM_UP = 3
_IGNORE = 255


class Peer:
  """A network of PyTorch, as it is run eagerly and compiled.

  Channels last, cuDNN's search for the best kernels, TF32 for float32 and
  automatic bfloat16 where ours computes in that, both on GPUs only, as many
  threads as cores, a fused SGD. Normalisation, upsampling to the picture's
  size, and loss or argmax are part of a step, as of ours, and of what is
  compiled.

  Attributes:
    steps: By name, functions that start a step: of each way to run the network
      that worked.
  """

  def __init__(self, choice: Choice, subject: Subject, *, training: bool):
    """Builds the network, and runs each way to warm up.

    Args:
      choice: The network.
      subject: Ours, with the batch.
      training: Whether steps are those of training.

    Raises:
      RunError: PyTorch does not see the device that jax has, or no way to run
        it worked.
    """
    self.choice = choice
    self.device = _device()
    config = subject.config
    torch.manual_seed(config.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision('high')
    module = networks.build(choice, subject.num_classes)
    self.parameters = networks.count_parameters(module)
    self.flops = networks.forward_flops(module, subject.size)
    module = module.train(training)
    self.module = module.to(self.device, memory_format=torch.channels_last)
    on_gpu = self.device.type == 'cuda'
    self.half = on_gpu and config.model.dtype == 'bfloat16'
    self.norm = [
      torch.tensor(values, device=self.device)[:, None, None]
      for values in norms.parse(config.model.input_norm)
    ]
    self.image, self.label = (
      torch.from_numpy(subject.batch[name]).to(self.device)
      for name in ('image', 'label')
    )
    options = config.optimizer
    self.optimizer = torch.optim.SGD(
      self.module.parameters(),
      lr=config.schedule.peak,
      momentum=options.momentum,
      weight_decay=options.weight_decay,
      nesterov=options.nesterov,
      fused=True,
    )
    ways = {'eager': lambda f: f, 'compiled': torch.compile}
    if on_gpu:
      ways['cuda_graphs'] = lambda f: torch.compile(f, mode='reduce-overhead')
    self.steps, self.found = {}, {}
    for name, way in ways.items():
      self._try(name, way, training)
    if not self.steps:
      raise RunError(f'{choice} did not run at all: {self.found}.')

  def _try(self, name: str, way: Callable, training: bool) -> None:
    """Makes a step and warms it up; what goes wrong is part of the result."""
    if self.device.type == 'cuda':
      torch.cuda.reset_peak_memory_stats()
    step = self._train_step(way) if training else self._eval_step(way)
    start = time.perf_counter()
    try:
      self.turn(step, 1)()
      first = time.perf_counter() - start
      self.turn(step, _WARM_UP)()
    # A compiler raises what it likes, and eager figures are worth having.
    except Exception as error:
      reason = (str(error).strip() or repr(error)).splitlines()[0]
      self.found[name] = {'failed': f'{type(error).__name__}: {reason}'[:300]}
      return
    self.steps[name] = step
    self.found[name] = {'seconds_of_first_step': round(first, 2)}
    if self.device.type == 'cuda':
      peak = torch.cuda.max_memory_allocated() / 2**20
      self.found[name]['peak_memory_mib'] = round(peak, 1)

  def _logits(self) -> torch.Tensor:
    """Of the batch, from uint8 on, at its size."""
    mean, deviation = self.norm
    # The bytes lie as channels last has them: nothing is moved.
    x = (self.image.permute(0, 3, 1, 2).float() - mean) / deviation
    with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
      return networks.logits(self.module, x)

  def _train_step(self, way: Callable) -> Callable[[], Any]:
    def loss():
      return functional.cross_entropy(
        self._logits().float(), self.label.long(), ignore_index=_IGNORE
      )

    forward = way(loss)

    def step():
      torch.compiler.cudagraph_mark_step_begin()
      forward().backward()
      self.optimizer.step()
      self.optimizer.zero_grad(set_to_none=True)

    return step

  def _eval_step(self, way: Callable) -> Callable[[], Any]:
    def labels():
      return self._logits().argmax(1).to(torch.uint8)

    predict = way(labels)

    def step():
      torch.compiler.cudagraph_mark_step_begin()
      with torch.inference_mode():
        return predict()

    return step

  def turn(self, step: Callable[[], Any], steps: int) -> Callable[[], None]:
    """A call that does several steps and returns when they are done."""

    def run():
      for _ in range(steps):
        step()
      if self.device.type == 'cuda':
        torch.cuda.synchronize()

    return run

  def describe(
    self,
    seconds: dict[str, list[float]],
    pictures: int,
    parameters: int,
    flops: int,
  ) -> dict[str, Any]:
    """The peer's part of a result; the fastest way to run it counts.

    Args:
      seconds: Of each step by name, of others too.
      pictures: Of a step.
      parameters, flops: Of ours, for comparison.
    """
    ways = {
      name: {**timing.summary(seconds[name], pictures), **found}
      if name in self.steps
      else found
      for name, found in self.found.items()
    }
    best = min(self.steps, key=lambda name: ways[name]['milliseconds'])
    return {
      'network': str(self.choice),
      'best': best,
      'images_per_second': ways[best]['images_per_second'],
      'milliseconds': ways[best]['milliseconds'],
      'fastest': min(ways[name]['fastest'] for name in self.steps),
      **ways,
      'parameters': self.parameters,
      'forward_gflops_per_image': self.flops / 1e9,
      'same_network': _same(self.parameters, parameters, self.flops, flops),
      'dtype': 'bfloat16 (autocast)' if self.half else 'float32',
      'settings': (
        'channels_last, cudnn.benchmark, TF32 for float32, '
        f'{torch.get_num_threads()} threads, fused SGD'
      ),
      'device': (
        torch.cuda.get_device_name()
        if self.device.type == 'cuda'
        else torch.backends.cpu.get_cpu_capability()
      ),
      **versions('torch', 'torchvision', 'timm', 'segmentation_models_pytorch'),
    }


def _device() -> torch.device:
  """The one that jax has."""
  backend = jax.default_backend()
  if backend == 'cpu':
    return torch.device('cpu')
  if backend == 'gpu' and torch.cuda.is_available():
    return torch.device('cuda')
  raise RunError(
    f'--peer: jax runs on {backend}, and this PyTorch ({torch.__version__}) '
    'does not. Install one that does, or leave --peer out.'
  )


def _same(theirs: int, ours: int, their_flops: int, our_flops: int) -> str:
  """Whether parameters and operations are equal, in words."""
  wrong = []
  if theirs != ours:
    wrong.append(f'{theirs:,} parameters, ours {ours:,}')
  if their_flops != our_flops:
    wrong.append(
      f'{their_flops / 1e9:,.3f} GFLOPs, ours {our_flops / 1e9:,.3f}'
    )
  if wrong:
    return f'NO, not the same network: it has {" and ".join(wrong)}'
  return 'yes: parameters and FLOPs are equal'
