"""What both sides train: one config, from which each takes its own parts."""

import ml_collections

from configs import benchmark

# Of the run in tests/golden: exact operations alone, so that every machine
# draws the same bytes.
SMALL = dict(
  dataset='synthetic:64x128',
  ops='random_crop(64, 64)|random_flip()',
  batch_size=4,
)


def make_config(
  *,
  dataset: str,
  ops: str,
  batch_size: int,
  folder: str = '',
  steps: int = 200,
  seed: int = 0,
  dtype: str = 'float32',
) -> ml_collections.ConfigDict:
  """SMP's DeepLabV3+ over ResNet-18 by the recipe of configs/camvid_r18.py.

  Its warm-up is the same part of the whole. Dropout is off: no two libraries
  drop the same.

  Args:
    dataset: Name of a data set.
    ops: Operations that end in a crop.
    batch_size: Pictures in a batch.
    folder: Of the data set.
    steps: Of training.
    seed: Of weights and batches.
    dtype: Of everything; float64 needs `jax.enable_x64`.
  """
  config = benchmark.get_config('v3plus_r18')
  config.dataset.name, config.dataset.dir = dataset, folder
  config.input.train = ops
  # SMP takes no other sizes.
  config.input.eval = f'pad_to_multiple({config.model.output_stride})'
  config.input.workers = 0
  config.model.dropout = 0.0
  config.model.dtype = dtype
  config.optimizer.nesterov = True
  config.schedule.peak = 0.05
  config.schedule.warmup_steps = round(steps * 200 / 6881)
  config.batch_size = batch_size
  config.total_steps = steps
  config.seed = seed
  config.mesh.data = 1
  return config
