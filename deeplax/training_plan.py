"""What a start of launch/train.py would do, in words."""

import math
import pathlib

import jax
import ml_collections

from deeplax import checkpoint, models, sharding
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.data import ops
from deeplax.data.info import DatasetInfo


def words(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  info: DatasetInfo,
  num_train: int,
  num_eval: int,
) -> str:
  """Data, network, steps and folder of a resolved config's run.

  Raises:
    RunError: The folder holds another run.
  """
  workdir_lib.check(workdir, config)
  dataset, model = config.dataset, config.model
  network = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  params = models.abstract_variables(network)['params']
  count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  size = ops.crop_size(ops.parse(config.input.train))
  mesh = sharding.make_mesh(**config.mesh)
  epochs = config.total_steps * config.batch_size / num_train
  start = 'a new run'
  if workdir_lib.has_checkpoint(workdir):
    newest = checkpoint.steps(workdir)[0][-1]
    start = f'goes on from step {newest}'
    if workdir_lib.is_complete(workdir):
      start = f'complete, {newest} steps'
  return '\n'.join(
    [
      f'data     {dataset.name}: {num_train} pictures of '
      f'{dataset.train_split}, {num_eval} of {dataset.eval_split}, '
      f'{info.num_classes} classes',
      f'network  {model.name} {model.encoder} {model.variant}, head '
      f'{model.head}, decoder {model.decoder}, output stride '
      f'{model.output_stride}: {count:,} parameters',
      f'steps    {config.total_steps:,} of {config.batch_size} crops of '
      f'{size[0]}x{size[1]} ({epochs:.1f} epochs), evaluated every '
      f'{config.eval_every}',
      f'devices  {mesh.size} x {jax.devices()[0].device_kind}',
      f'workdir  {workdir}: {start}',
    ]
  )
