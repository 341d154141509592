"""One recipe in PyTorch and in deeplax: the same weights, the same batches.

python tests/parity.py --output=runs/parity
python tests/parity.py --output=runs/parity_camvid --dataset=camvid \\
  --dir=data/camvid --crop=160 --batch_size=8

Trains segmentation_models_pytorch's DeepLabV3Plus over ResNet-18 without
dropout, twice: by torch's own optimiser, schedule and loss, and by deeplax's
importer and train step; in float32, and again in float64. One more run in
float32, PyTorch's from weights that differ by 1e-7, shows how far apart
rounding alone leads. A table is printed; batches, figures and a picture are
left in the folder.
"""

import argparse
import os
import pathlib
import sys

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from deeplax import atomic, compilation_cache
from deeplax import config as config_lib
from deeplax.benchmark import machine, peers
from deeplax.data import DataError
from deeplax.errors import ConfigError, UserError
from tests.side_by_side import batches, curve, picture, recipe

MULTIPLE = 16  # SMP takes no other sizes


def main():
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--output', type=pathlib.Path, required=True)
  parser.add_argument('--dataset', default='synthetic:64x128')
  parser.add_argument('--dir', default='', help='of the data set')
  parser.add_argument('--crop', type=int, default=64)
  parser.add_argument('--batch_size', type=int, default=4)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--seed', type=int, default=0)
  try:
    run(parser.parse_args())
  except (UserError, DataError) as error:
    sys.exit(f'error: {error}')


def run(options: argparse.Namespace) -> None:
  """Trains, prints a table and writes the files.

  Raises:
    UserError, DataError: Something is not there, or can't be done.
  """
  config = make_config(options)
  options.output.mkdir(parents=True, exist_ok=True)
  batches.write(options.output, batches.draw(config, options.steps))

  from tests.side_by_side import runs  # imports PyTorch

  curves = runs.train(config, batches.read(options.output))
  title = (
    f'DeepLabV3+ R18, {options.dataset}, {options.batch_size} crops of '
    f'{options.crop}x{options.crop}, SGD'
  )
  atomic.write(options.output / 'parity.png', picture.draw(curves, title))
  atomic.write_json(
    options.output / 'parity.json',
    {
      'config': config.to_dict(),
      'versions': machine.versions(
        'jax', 'torch', 'segmentation_models_pytorch'
      ),
      'curves': {name: found.to_dict() for name, found in curves.items()},
      'apart': {
        name: curve.compare(found, curves[curve.REFERENCES[name]])
        for name, found in curves.items()
      },
    },
  )
  print(curve.table(curves))
  print(f'{options.output}: parity.png, parity.json, {batches.NAME}')


def make_config(options: argparse.Namespace):
  """Of `recipe.make_config`, checked."""
  if options.crop < 2 * MULTIPLE or options.crop % MULTIPLE:
    raise ConfigError(
      f'--crop (={options.crop}) must be a multiple of {MULTIPLE}, '
      f'{2 * MULTIPLE} or more: SMP takes no other sizes.'
    )
  if options.steps < curve.SMOOTHED:
    raise ConfigError(
      f'--steps (={options.steps}) must be {curve.SMOOTHED} or more, as that '
      'many are averaged.'
    )
  config = recipe.make_config(
    dataset=options.dataset,
    folder=options.dir,
    crop=options.crop,
    batch_size=options.batch_size,
    steps=options.steps,
    seed=options.seed,
  )
  config_lib.validate(config)
  peers.choose('smp', config.model)
  return config


if __name__ == '__main__':
  compilation_cache.enable()
  main()
