"""Makes parity_r18.npz: the loss of each of PyTorch's 200 steps, in float64.

In an environment with PyTorch beside the rest:

    pip install torch==2.14.1 segmentation-models-pytorch==0.6.0
    PYTHONPATH=. python tests/golden/parity_r18_torch.py

`tests/test_parity.py` draws the same weights and batches again, trains deeplax
for the first steps, and compares. Digests tell whether they are the same.
"""

import pathlib

import numpy as np

from tests.side_by_side import batches, recipe, theirs, weights

PATH = pathlib.Path(__file__).with_name('parity_r18.npz')
COMPARED = 12  # steps: all of the warm-up, and as many after it


def main():
  config = recipe.make_config(dtype='float64')
  drawn = batches.draw(config, config.total_steps)
  start = weights.initial(theirs.num_classes(config), config.seed)
  curve = theirs.train(config, drawn, start, evaluate=False)
  first = {name: array[:COMPARED] for name, array in drawn.items()}
  np.savez_compressed(
    PATH,
    losses=curve.losses,
    rates=curve.rates,
    weights=weights.digest(start),
    batches=weights.digest(first),
  )
  print(f'{PATH}: {PATH.stat().st_size} bytes')


if __name__ == '__main__':
  main()
