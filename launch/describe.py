"""Shows a config's layers, parameters, operations and memory.

python launch/describe.py --config=configs/r101.py
python launch/describe.py --config=configs/r101.py --size=1024x2048
python launch/describe.py --compare
python launch/describe.py --compare --configs=unet,r101:os16 --size=256x512
python launch/describe.py --papers
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import cli, cli_flags, config_files

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'A file of configs/, run as code; variants after a colon.'
)
SIZE = cli_flags.define_size('size', 'Default: the training crop.')
BATCH = flags.DEFINE_integer(
  'batch_size', None, "For --memory, which it implies. Default: the config's."
)
MEMORY = flags.DEFINE_bool(
  'memory', False, 'Compile the training step and say what memory it needs.'
)
COMPARE = flags.DEFINE_bool('compare', False, 'Several networks, timed here.')
PAPERS = flags.DEFINE_bool('papers', False, 'Recipes beside the papers.')
CONFIGS = flags.DEFINE_list(
  'configs',
  'unet,v1_vgg16,v2_r101,v3_r50,v3_r101,r101,x65,x71,mobilenet_v2',
  'Of configs/, for --compare; variants after a colon, joined by +.',
)


def main(argv):
  del argv
  from deeplax import compare, describe, papers_table

  if PAPERS.value:
    lines = papers_table.of_project()
  elif COMPARE.value:
    configs = config_files.load_all(CONFIGS.value)
    lines = compare.compare(configs, size=SIZE.value or (512, 1024))
  elif CONFIG.value is None:
    return cli.fail('give --config, --compare or --papers.', 2)
  else:
    memory = MEMORY.value or BATCH.value is not None
    lines = describe.describe(
      CONFIG.value, size=SIZE.value, batch_size=BATCH.value, memory=memory
    )
  for line in lines:
    print(line, flush=True)


if __name__ == '__main__':
  cli.run(main)
