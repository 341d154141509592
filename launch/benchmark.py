"""Measures a part of the system on this machine: a table, then one JSON line.

python launch/benchmark.py --what=input
python launch/benchmark.py --what=input --config=configs/r101.py --workers=8
python launch/benchmark.py --what=crf --size=360x480 --preset=v2 --image=a.jpg
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import cli

CONFIG = config_flags.DEFINE_config_file(
  'config', None, "Measure this config's data, not synthetic pictures."
)
WHAT = flags.DEFINE_enum('what', 'input', ['input', 'crf'], 'What to measure.')
OPS = flags.DEFINE_string('ops', None, 'Operations, as in input.train.')
BATCH = flags.DEFINE_integer('batch_size', None, 'Crops in a batch.', 1)
WORKERS = flags.DEFINE_integer('workers', None, 'Worker processes.', 0)
PICTURES = flags.DEFINE_integer('pictures', 32, 'Synthetic pictures.', 1)
SECONDS = flags.DEFINE_float('seconds', 5.0, 'Of each measurement.', 0.1)
SIZE = flags.DEFINE_string('size', '1024x2048', 'Picture of the CRF.')
PRESET = flags.DEFINE_enum('preset', 'v1', ['v1', 'v2'], 'Of the CRF.')
IMAGE = flags.DEFINE_string('image', None, 'For the CRF; default drawn.')
REPEATS = flags.DEFINE_integer('repeats', 5, 'Measurements.', 1)


def main(argv):
  del argv
  # Imported here: worker processes import this file again.
  from deeplax import benchmark, benchmark_crf

  if WHAT.value == 'crf':
    keys = dict(size=SIZE.value, preset=PRESET.value, image=IMAGE.value)
    result = benchmark_crf.benchmark_crf(**keys, repeats=REPEATS.value)
  else:
    result = benchmark.benchmark_input(
      CONFIG.value,
      ops=OPS.value,
      batch_size=BATCH.value,
      workers=WORKERS.value,
      pictures=PICTURES.value,
      seconds=SECONDS.value,
      repeats=REPEATS.value,
    )
  print(benchmark.table(result))
  print(json.dumps(result))


if __name__ == '__main__':
  cli.run(main)
