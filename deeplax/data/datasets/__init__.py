"""Data sets, one module each, found by their module's name.

A module has `source(split, data_dir)` and either `INFO`, or, where the classes
come with the data, `info(data_dir, argument)`. `source` may also take
`argument=` (what follows the colon in `'tfds:oxford_iiit_pet'`) and `extras=`
(names of further arrays to read, e.g. `('instance', 'disparity')`).

A new file here is a new data set. The least there can be:

  # deeplax/data/datasets/squares.py: --config.dataset.name=squares
  import numpy as np
  from deeplax.data.info import DatasetInfo, Label

  INFO = DatasetInfo('squares', (
    Label('ground', 0, 0, 'ground', (0, 0, 0)),
    Label('square', 1, 1, 'square', (255, 200, 0)),
  ))

  def source(split, data_dir):  # anything with a length and an index
    return [scene(seed + 1000 * (split == 'val')) for seed in range(16)]

  def scene(seed):
    rng = np.random.default_rng(seed)
    label = np.zeros((64, 64), np.uint8)
    y, x = rng.integers(0, 40, 2)
    label[y : y + 24, x : x + 24] = 1
    grey = 60 + 120 * label + rng.integers(0, 40, label.shape, np.uint8)
    return {'image': np.dstack([grey] * 3), 'label': label, 'id': str(seed)}
"""
