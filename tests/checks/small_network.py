"""A network of three layers, and pictures whose classes are their colours."""

import flax.linen as nn
import numpy as np

from configs import common
from deeplax import models
from tests.data import trees

COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)


class Small(nn.Module):
  """3x3, batch norm, 1x1, scores; at the size of the picture."""

  num_classes: int
  remat_norms = False

  @nn.compact
  def __call__(self, x, *, train):
    x = x.astype(np.float32) / 128 - 1
    x = nn.Conv(16, (3, 3), name='conv1')(x)
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name='bn1')(x)
    x = nn.relu(nn.Conv(16, (1, 1), name='conv2')(nn.relu(x)))
    return nn.Conv(self.num_classes, (1, 1), name='logits')(x), {}


def use(monkeypatch):
  """Every network is the small one from here on."""
  monkeypatch.setattr(
    models, 'build', lambda num_classes, **_: Small(num_classes)
  )


def write(root, count=8, label=None):
  """A folder of 24x32; `label` makes of a mask the one that is saved."""
  for split in ('train', 'val'):
    trees.write_folder(root, count=0)
    for i in range(count):
      rng = np.random.default_rng(i)
      blocks = rng.integers(0, 3, (3, 4), np.uint8)
      mask = np.kron(blocks, np.ones((8, 8), np.uint8))
      path = root / split / 'images' / f'{i}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      trees.cv2.imwrite(str(path), COLOURS[mask][..., ::-1])
      saved = mask if label is None else label(mask, rng)
      trees.write_mask(root / split / 'labels' / f'{i}.png', saved)
  return root


def config(root, **changes):
  result = common.base()
  result.dataset.name = 'folder'
  result.dataset.dir = str(root)
  result.input.train = 'random_crop(24, 32)|random_flip()'
  result.input.workers = 0
  result.model.output_stride = 8
  result.batch_size = 4
  result.mesh.data = 1
  result.total_steps = 60
  result.schedule.peak = 0.1
  result.update_from_flattened_dict(changes)
  return result.lock()
