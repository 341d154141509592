"""Trains a config, or goes on where the same command was stopped.

python launch/train.py --config=configs/demo.py
python launch/train.py --config=configs/r101.py:smoke --workdir=/tmp/smoke
python launch/train.py --config=configs/folder.py --config.dataset.dir=mine
python launch/train.py --config=configs/demo.py --seeds=3
python launch/train.py --config=configs/demo.py --check=overfit
python launch/train.py --replay=runs/r101/bad_steps/1234
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import cli, cli_flags, config_files, interrupt

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'A file of configs/, run as code; variants after a colon.'
)
WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of the run. Default: runs/<name of the config>.'
)
CHECK = flags.DEFINE_enum(
  'check', None, ['overfit', 'lr'], 'Fits one batch, or finds schedule.peak.'
)
REPLAY = flags.DEFINE_string(
  'replay', None, 'Folder of a step that was not finite: runs it with checks.'
)
SEEDS = cli_flags.define_seeds()
PROCESSES = cli_flags.define_distributed()


def main(argv):
  del argv
  if REPLAY.value:
    from deeplax.replay import replay

    return print(replay(pathlib.Path(REPLAY.value)))
  if CONFIG.value is None:
    return cli.fail('--config is missing (--help lists the flags).', 2)
  name = config_flags.get_config_filename(flags.FLAGS['config'])
  workdir = pathlib.Path(WORKDIR.value or f'runs/{config_files.run_name(name)}')
  if CHECK.value:
    from deeplax.checks import run

    return run(CHECK.value, CONFIG.value, workdir, print)
  with interrupt.stoppable():  # the import takes seconds
    # Imported here: worker processes import this file again.
    from deeplax.train_command import train_command

    train_command(CONFIG.value, workdir, SEEDS.value)


if __name__ == '__main__':
  cli.run(main, processes=PROCESSES, rehearsable=True)
