"""Learning-rate schedules and optimisers, as the papers state them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

Schedule = Callable[[jax.Array], jax.Array]


def make_schedule(
  *,
  name: str,
  peak: float,
  total_steps: int,
  end: float = 0.0,
  power: float = 0.9,
  warmup_steps: int = 0,
  boundaries: Sequence[float] = (),
  factor: float = 0.1,
) -> Schedule:
  """Returns step -> learning rate.

  With t = (step - warmup_steps) / (total_steps - warmup_steps):

    poly       (peak - end) (1 - t)^power + end
    cosine     (peak - end) (1 + cos(pi t)) / 2 + end
    step       peak * factor^(number of boundaries <= step / total_steps)
    constant   peak

  and before that a linear warm-up, peak * (step + 1) / (warmup_steps + 1).

  Raises:
    ValueError: On an unknown name or a warm-up that leaves no step.
  """
  if not 0 <= warmup_steps < total_steps:
    raise ValueError(
      f'schedule.warmup_steps (={warmup_steps}) must be at least 0 and less '
      f'than the total number of steps (={total_steps}).'
    )
  decay_steps = total_steps - warmup_steps
  if name == 'poly':
    main = optax.polynomial_schedule(peak, end, power, decay_steps)
  elif name == 'cosine':

    def main(step):
      t = jnp.clip(step / decay_steps, 0.0, 1.0)
      return (peak - end) * (1 + jnp.cos(jnp.pi * t)) / 2 + end
  elif name == 'step':
    edges = jnp.array([b * total_steps for b in boundaries])

    def main(step):
      return peak * factor ** jnp.sum(step + warmup_steps >= edges)
  elif name == 'constant':
    main = optax.constant_schedule(peak)
  else:
    raise ValueError(
      f'schedule.name (={name!r}) must be one of poly, cosine, step, constant.'
    )

  def warmup(step):
    return peak * (step + 1) / (warmup_steps + 1)

  whole = main
  if warmup_steps:
    whole = optax.join_schedules([warmup, main], [warmup_steps])
  # An int32 step divides in float32 even where 64-bit numbers are on.
  return lambda step: whole(jnp.asarray(step, float))


def make_optimizer(
  schedule: Schedule,
  *,
  name: str,
  momentum: float = 0.9,
  nesterov: bool = False,
  b1: float = 0.9,
  b2: float = 0.999,
  weight_decay: float = 0.0,
  decay_mask: str = 'all',
  encoder_lr_mult: float = 1.0,
  logits_lr_mult: float = 1.0,
  bias_lr_mult: float = 1.0,
  bn_lr_mult: float = 1.0,
  clip_norm: float | None = None,
) -> optax.GradientTransformation:
  """Builds the gradient transformation.

  For `sgd` and `adam` the decay is coupled, g + wd * p before the momentum, as
  in PyTorch and the papers; for `adamw` it is decoupled. The gradient is
  clipped to a global norm of `clip_norm` before anything else.

  Args:
    schedule: Step -> learning rate.
    name: `sgd`, `adam` or `adamw`.
    momentum: Of `sgd`.
    nesterov: Of `sgd`.
    b1: Of `adam` and `adamw`.
    b2: Of `adam` and `adamw`.
    weight_decay: wd.
    decay_mask: `all` parameters decay, only `kernels` (ndim > 1), or only
      `dense_kernels`, depthwise ones excepted; those of `crf_rnn` never do.
    encoder_lr_mult: Factor on the learning rate of the encoder.
    logits_lr_mult: Factor on that of the layers that give class scores.
    bias_lr_mult: Factor on that of biases, batch norm's excepted. A bias in
      one of these parts has the product of the factors.
    bn_lr_mult: Factor on that of batch norm's scales and biases; 0 leaves them
      as they are.
    clip_norm: Or None.

  Raises:
    ValueError: On an unknown name.
  """
  if decay_mask not in DECAY_MASKS:
    raise ValueError(
      f'optimizer.decay_mask (={decay_mask!r}) must be one of '
      f'{list(DECAY_MASKS)}.'
    )
  decay = optax.add_decayed_weights(weight_decay, mask=DECAY_MASKS[decay_mask])
  parts = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
  if name == 'sgd':
    parts += [decay, optax.trace(momentum, nesterov)]
  elif name == 'adam':
    parts += [decay, optax.scale_by_adam(b1, b2)]
  elif name == 'adamw':
    parts += [optax.scale_by_adam(b1, b2), decay]
  else:
    raise ValueError(
      f'optimizer.name (={name!r}) must be one of sgd, adam, adamw.'
    )
  parts.append(optax.scale_by_learning_rate(schedule))
  for factor, mask in (
    (encoder_lr_mult, _encoder),
    (logits_lr_mult, _logits),
    (bias_lr_mult, _biases),
    (bn_lr_mult, _batch_norms),
  ):
    if factor != 1.0:
      parts.append(optax.masked(optax.scale(factor), mask))
  return optax.chain(*parts)


# What a CRF starts from, Potts' model, is no 0 to go back to.
def _everything(params: Any) -> Any:
  return _by_path(params, lambda names, _: names[0] != 'crf_rnn')


def _kernels(params: Any) -> Any:
  kernels = jax.tree.map(lambda p: p.ndim > 1, params)
  return jax.tree.map(lambda a, b: a and b, kernels, _everything(params))


def _dense_kernels(params: Any) -> Any:
  dense = _by_path(params, lambda names, _: 'depthwise' not in names)
  return jax.tree.map(lambda a, b: a and b, dense, _kernels(params))


DECAY_MASKS = {
  'all': _everything,
  'kernels': _kernels,
  'dense_kernels': _dense_kernels,
}


def _encoder(params: Any) -> Any:
  return _by_path(params, lambda names, _: names[0] == 'encoder')


def _logits(params: Any) -> Any:
  return _by_path(params, lambda names, _: names[-2].startswith('logits'))


def _biases(params: Any) -> Any:
  def is_bias(names, siblings):
    return names[-1] == 'bias' and 'scale' not in siblings

  return _by_path(params, is_bias)


def _batch_norms(params: Any) -> Any:
  return _by_path(params, lambda _, siblings: 'scale' in siblings)


def _by_path(params: Any, chosen: Callable, names: tuple = ()) -> Any:
  """`chosen(path, names beside it)` for every array."""
  return {
    name: _by_path(tree, chosen, (*names, name))
    if isinstance(tree, dict)
    else chosen((*names, name), params)
    for name, tree in params.items()
  }
