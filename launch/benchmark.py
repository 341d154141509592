"""Measures a part of the system on this machine: a table, then one JSON line.

python launch/benchmark.py --what=train --config=configs/x65.py --size=768x768
python launch/benchmark.py --what=train --profile --peer=smp \
  --config=configs/benchmark.py:v3plus_r18
python launch/benchmark.py --what=ops --batch_size=4 --write
python launch/benchmark.py --what=input --config=configs/r101.py --workers=8
python launch/benchmark.py --what=crf --size=360x480 --preset=v2 --image=a.jpg
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import benchmark, cli, cli_flags

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'What to measure: a network, or the data of one.'
)
WHAT = flags.DEFINE_enum('what', 'input', [*benchmark.PARTS], 'The part.')
OUTPUT = flags.DEFINE_string('output', None, 'Append the JSON line to a file.')
# Each part takes some of these; where one is not given, its own default.
REST = (
  cli_flags.define_size('size', 'Of the pictures: train, eval, crf.'),
  flags.DEFINE_integer('batch_size', None, 'Pictures in a batch.', 1),
  flags.DEFINE_integer('repeats', None, 'Measurements.', 1),
  flags.DEFINE_enum(
    'peer', None, ['smp', 'torchvision', 'timm'], 'PyTorch, too: train, eval.'
  ),
  flags.DEFINE_bool(
    'profile', None, 'The kernels that take most: train, eval.'
  ),
  flags.DEFINE_bool('write', None, "Into the lowerings' table: ops."),
  flags.DEFINE_string('ops', None, 'Operations, as in input.train: input.'),
  flags.DEFINE_integer('workers', None, 'Worker processes: input.', 0),
  flags.DEFINE_integer('pictures', None, 'Synthetic pictures: input.', 1),
  flags.DEFINE_float('seconds', None, 'Of each measurement: input.', 0.1),
  flags.DEFINE_enum('preset', None, ['v1', 'v2'], 'Parameters: crf.'),
  flags.DEFINE_string('image', None, 'A photograph, not a drawn street: crf.'),
)


def main(argv):
  del argv
  # Imported here: worker processes import this file again.
  from deeplax.benchmark.run import run

  values = {flag.name: flag.value for flag in REST}
  run(WHAT.value, CONFIG.value, output=OUTPUT.value, **values)


if __name__ == '__main__':
  cli.run(main)
