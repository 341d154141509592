"""Shows a config's layers, parameters, operations and memory.

python launch/describe.py --config=configs/r101.py
python launch/describe.py --config=configs/r101.py --size=1024x2048
python launch/describe.py --config=configs/r101.py --batch_size=8
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import cli
from deeplax.errors import ConfigError

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The experiment: a file of configs/, variants after a colon.'
)
SIZE = flags.DEFINE_string(
  'size', None, 'heightxwidth, e.g. 512x1024. Default: the training crop.'
)
BATCH = flags.DEFINE_integer(
  'batch_size', None, "For --memory, which it implies. Default: the config's."
)
MEMORY = flags.DEFINE_bool(
  'memory', False, 'Compile the training step and say what memory it needs.'
)
flags.mark_flag_as_required('config')


def main(argv):
  del argv
  from deeplax.describe import describe

  size = None
  if SIZE.value is not None:
    match = re.fullmatch(r'(\d+)x(\d+)', SIZE.value)
    if not match:
      raise ConfigError(f'--size={SIZE.value} must be like 512x1024.')
    size = (int(match[1]), int(match[2]))
  lines = describe(
    CONFIG.value,
    size=size,
    batch_size=BATCH.value,
    memory=MEMORY.value or BATCH.value is not None,
  )
  for line in lines:
    print(line, flush=True)


if __name__ == '__main__':
  cli.run(main)
