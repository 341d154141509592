"""Checks a data set, or writes it in another form; stop it and go on any time.

  python launch/prepare.py --dataset=folder --dir=my/data --check
  python launch/prepare.py --dataset=cityscapes --dir=data/cityscapes \
      --output=data/cityscapes_map --to=memmap
  python launch/prepare.py --dataset=folder --dir=my/data --preview
  python launch/prepare.py --preview --config=configs/demo.py --output=x.png
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import cli

_DATASET = flags.DEFINE_string(
  'dataset', 'synthetic', 'Data set: module or module:argument.'
)
_DIR = flags.DEFINE_string('dir', '', 'Its folder.')
_SPLITS = flags.DEFINE_list('splits', ['train', 'val'], 'Splits.')
_OUTPUT = flags.DEFINE_string('output', '', 'Folder, or PNG, for the result.')
_TO = flags.DEFINE_enum(
  'to', None, ['tfds', 'memmap', 'cityscapes'], 'Form of the result.'
)
_EXTRAS = flags.DEFINE_list(
  'extras', None, 'Further arrays to keep: instance, disparity.'
)
_CHECK = flags.DEFINE_bool('check', False, 'Read all and report what is wrong.')
_PREVIEW = flags.DEFINE_bool('preview', False, 'Draw crops of training.')
_OPS = flags.DEFINE_string('ops', '', 'For --preview, as of input.train.')
_CONFIG = config_flags.DEFINE_config_file('config', None, 'For --preview.')


def main(argv):
  del argv
  from deeplax.data.prepare import check_splits, prepare

  data = _DATASET.value, _DIR.value, _SPLITS.value
  if not any(_SPLITS.value):
    return cli.fail('--splits is empty; give e.g. --splits=train,val.', 2)
  if _PREVIEW.value:
    from deeplax.preview import preview

    return print(preview(_CONFIG.value, *data, _OPS.value, _OUTPUT.value))
  if not _CHECK.value and not (_TO.value and _OUTPUT.value):
    return cli.fail('give --check, --preview, or both --to and --output.', 2)
  if _CHECK.value and not check_splits(*data, print):
    return 1
  if _TO.value:
    name, at = prepare(*data, _OUTPUT.value, _TO.value, extras=_EXTRAS.value)
    print(f'Done. --config.dataset.name={name} --config.dataset.dir={at}')


if __name__ == '__main__':
  cli.run(main, rehearsable=True)
