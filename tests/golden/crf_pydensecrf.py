"""Makes crf.npz: what pydensecrf2 1.1 infers on a drawn picture.

pip install pydensecrf2, then, from the root:
python -m tests.golden.crf_pydensecrf tests/golden/crf.npz
"""

import sys

import numpy as np

from tests.crf import peer, reference

SIZE, CLASSES = (23, 31), 4
ITERATIONS = (1, 5, 10)
SETTINGS = dict(spatial=(2, 2), bilateral=((9, 7), (12, 9, 15), 3))


def main(path):
  image = reference.picture(*SIZE)
  unary = reference.energies(*SIZE, CLASSES)
  np.savez_compressed(
    path,
    **{
      f'{normalization}_{n}': peer.infer(
        image, unary, num_iterations=n, normalization=normalization, **SETTINGS
      )
      for normalization in ('symmetric', 'before', 'after', 'none')
      for n in ITERATIONS
    },
  )


if __name__ == '__main__':
  main(sys.argv[1])
