"""What both sides train: one config, from which each takes its own parts."""

import ml_collections

from configs import benchmark

WARMUP = 200 / 6881  # of the steps, as in configs/camvid_r18.py


def make_config(
  *,
  dataset: str = 'synthetic:64x128',
  folder: str = '',
  crop: int = 64,
  batch_size: int = 4,
  steps: int = 200,
  seed: int = 0,
  dtype: str = 'float32',
) -> ml_collections.ConfigDict:
  """SMP's DeepLabV3+ over ResNet-18 by the recipe of configs/camvid_r18.py.

  Its warm-up is the same part of the whole. Dropout is off, as no two libraries
  drop the same, and nothing is scaled, so that every machine draws the same
  bytes.

  Args:
    dataset: Name of a data set.
    folder: Of the data set.
    crop: Rows and columns.
    batch_size: Pictures in a batch.
    steps: Of training.
    seed: Of weights and batches.
    dtype: Of everything; float64 needs `jax.enable_x64`.
  """
  config = benchmark.get_config('v3plus_r18')
  config.dataset.name, config.dataset.dir = dataset, folder
  config.input.train = f'random_crop({crop}, {crop})|random_flip()'
  # SMP takes no other sizes.
  config.input.eval = f'pad_to_multiple({config.model.output_stride})'
  config.input.workers = 0
  config.model.dropout = 0.0
  config.model.dtype = dtype
  config.optimizer.nesterov = True
  config.schedule.peak = 0.05
  config.schedule.warmup_steps = round(WARMUP * steps)
  config.batch_size = batch_size
  config.total_steps = steps
  config.seed = seed
  config.mesh.data = 1
  return config
