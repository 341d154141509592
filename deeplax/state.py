"""What a training run carries from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
  """Everything that a step reads and replaces.

  Attributes:
    step: int32, steps done so far.
    bad_steps: int32, those of them whose loss or gradient was not finite.
    skipped_examples: int32, examples that only filled up a batch so far.
    seed: uint32, of the dropout. As a constant of the step it would have every
      seed compile a program of its own. The config's, so no checkpoint has it.
    params: Parameters, float32.
    batch_stats: Running means and variances of batch normalisation.
    opt_state: State of the optimiser.
    ema_params: Moving average of `params`, or None when none is kept.
  """

  step: jax.Array
  bad_steps: jax.Array
  skipped_examples: jax.Array
  seed: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  ema_params: Any = None

  @property
  def eval_variables(self) -> dict[str, Any]:
    """Variables to evaluate: the averaged parameters where they are kept."""
    params = self.params if self.ema_params is None else self.ema_params
    return {'params': params, 'batch_stats': self.batch_stats}


def create_state(
  variables: dict[str, Any],
  tx: optax.GradientTransformation,
  seed: int,
  *,
  ema: bool = False,
) -> TrainState:
  """The state at step 0."""
  params = variables['params']
  return TrainState(
    # One each: the step donates its state, and a buffer can't go twice.
    step=jnp.zeros((), jnp.int32),
    bad_steps=jnp.zeros((), jnp.int32),
    skipped_examples=jnp.zeros((), jnp.int32),
    seed=jnp.asarray(seed, jnp.uint32),
    params=params,
    batch_stats=variables.get('batch_stats', {}),
    # One program, not one for each shape there is: these take seconds.
    opt_state=jax.jit(tx.init)(params),
    # A copy, for the same reason.
    ema_params=jax.tree.map(jnp.array, params) if ema else None,
  )
