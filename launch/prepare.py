"""Checks a data set, or writes it in another form; stop it and go on any time.

  python launch/prepare.py --dataset=folder --dir=my/data --check
  python launch/prepare.py --dataset=cityscapes --dir=data/cityscapes \
      --output=data/cityscapes_map --to=memmap
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from deeplax import cli

_DATASET = flags.DEFINE_string(
  'dataset', 'synthetic', 'Data set: module or module:argument.'
)
_DIR = flags.DEFINE_string('dir', '', 'Its folder.')
_SPLITS = flags.DEFINE_list('splits', ['train', 'val'], 'Splits.')
_OUTPUT = flags.DEFINE_string('output', '', 'Folder for the result.')
_TO = flags.DEFINE_enum(
  'to', None, ['tfds', 'memmap', 'cityscapes'], 'Form of the result.'
)
_EXTRAS = flags.DEFINE_list(
  'extras', None, 'Further arrays to keep: instance, disparity.'
)
_CHECK = flags.DEFINE_bool('check', False, 'Read all and report what is wrong.')


def main(argv):
  del argv
  from deeplax.data.check import check
  from deeplax.data.prepare import prepare

  if not _CHECK.value and not (_TO.value and _OUTPUT.value):
    return cli.fail('give --check, or both --to and --output.', 2)
  if not any(_SPLITS.value):
    return cli.fail('--splits is empty; give e.g. --splits=train,val.', 2)
  if _CHECK.value:
    healthy = True
    for split in _SPLITS.value:
      report = check(_DATASET.value, split, _DIR.value, progress=True)
      print(report)
      healthy = healthy and not report.failed
    if not healthy:
      return 1
  if _TO.value:
    name, folder = prepare(
      _DATASET.value, _DIR.value, _SPLITS.value, _OUTPUT.value, _TO.value,
      extras=_EXTRAS.value,
    )  # fmt: skip
    print(f'Done. --config.dataset.name={name} --config.dataset.dir={folder}')


if __name__ == '__main__':
  cli.run(main)
