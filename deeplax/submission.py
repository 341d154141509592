"""Predictions as the server of the Cityscapes benchmark wants them.

One 8-bit PNG of label ids a picture, at the picture's size, and called
`<city>_<sequence>_<frame>*.png`, for which the official scripts look; all of
them at the top of one zip. The same predictions give the same bytes.
"""

import collections
import logging
import os
import pathlib
import re
import zipfile
from collections.abc import Collection, Iterable

from deeplax import atomic, picture_paths
from deeplax.data.datasets import cityscapes
from deeplax.data.errors import first_few
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError

log = logging.getLogger('deeplax')

_NAME = re.compile(r'([A-Za-z-]+_\d{6}_\d{6})(?:_.*)?', re.DOTALL)
_OFFICIAL_TEST = 1525  # pictures
_FOLDER = 'submission'


def check(info: DatasetInfo, pictures: Iterable[pathlib.Path]) -> None:
  """Makes sure that the pictures are those of a split, each once.

  What lies in `leftImg8bit/<split>/<city>` is compared with all that is there;
  of other folders nobody can tell what is missing.

  Args:
    info: The classes that are predicted.
    pictures: Paths of those to be predicted.

  Raises:
    RunError: Other classes than Cityscapes', pictures that are not named like
      its own, doubled or missing ones, or more than one split.
  """
  ours, theirs = info.label_to_train, cityscapes.INFO.label_to_train
  if info.class_names != cityscapes.INFO.class_names or (ours != theirs).any():
    raise RunError(
      f'--format=submission: {info.name} has {info.num_classes} classes '
      f'({", ".join(info.class_names[:4])}, ...), the benchmark wants the 19 '
      'of Cityscapes in their order. --format=label_id writes ids of any.'
    )
  pictures = [pathlib.Path(os.path.abspath(path)) for path in pictures]
  bad = [path for path in pictures if not _core(path)]
  if bad:
    raise RunError(
      f'--format=submission: {len(bad)} pictures are not named '
      f'<city>_<6 digits>_<6 digits>_leftImg8bit.png: {first_few(bad)}. Give '
      '--input the pictures of a split alone, e.g. leftImg8bit/test.'
    )
  doubled = collections.defaultdict(list)
  for path in pictures:
    doubled[_core(path)].append(path)
  doubled = [paths for paths in doubled.values() if len(paths) > 1]
  if doubled:
    raise RunError(
      f'--format=submission: {len(doubled)} pictures are there more than once: '
      f'{first_few(map(str, doubled[0]))}. The server takes one prediction of '
      'each.'
    )
  _check_split(pictures)


def _check_split(pictures):
  splits = {
    path.parents[1]
    for path in pictures
    if len(path.parents) > 2 and path.parents[2].name == 'leftImg8bit'
  }
  if not splits:
    return
  if len(splits) > 1:
    raise RunError(
      f'--format=submission: the pictures are of {len(splits)} splits, '
      f'{first_few(sorted(splits))}; the server takes one at a time.'
    )
  (split,) = splits
  there = {
    _core(path)
    for path in split.glob('*/*_leftImg8bit.png')
    if not path.name.startswith('.')
  }
  missing = sorted(there - {_core(path) for path in pictures} - {None})
  if missing:
    raise RunError(
      f'--format=submission: {len(missing)} of the {len(there)} pictures of '
      f'{split} are not among the inputs: {first_few(missing)}. The server '
      f'wants all of them: --input={split}'
    )
  if split.name == 'test' and len(pictures) != _OFFICIAL_TEST:
    log.warning(
      '%s holds %d pictures, the official split has %d: the server will refuse '
      'the result.',
      *(split, len(pictures), _OFFICIAL_TEST),
    )


def target(output: pathlib.Path, picture: pathlib.Path) -> pathlib.Path:
  """`<output>/submission/<city>_<sequence>_<frame>_labelIds.png`.

  Raises:
    RunError: See `picture_paths.target`.
  """
  name = os.path.join(_FOLDER, _core(picture) or picture.stem)
  return picture_paths.target(output, name, 'labelIds')


def pack(
  output: pathlib.Path,
  pictures: Iterable[pathlib.Path],
  failed: Collection[pathlib.Path],
) -> list[pathlib.Path]:
  """Writes `<output>/submission.zip`, unless something is missing of it.

  Args:
    output: Folder of the predictions.
    pictures: That were to be predicted.
    failed: Those of them that could not be used.

  Returns:
    The zip, or nothing; then an old one is gone as well.

  Raises:
    RunError: It can't be written.
  """
  path = output / f'{_FOLDER}.zip'
  part = path.with_name(f'.{path.name}.part')
  try:
    path.unlink(missing_ok=True)
    part.unlink(missing_ok=True)
    if failed:
      log.error(
        '%s is not written: %d predictions are missing, of %s.',
        *(path, len(failed), first_few(failed)),
      )
      return []
    files = sorted(target(output, picture) for picture in pictures)
    with part.open('xb') as whole:
      # PNGs are compressed already.
      with zipfile.ZipFile(whole, 'w', zipfile.ZIP_STORED) as archive:
        for file in files:
          entry = zipfile.ZipInfo(file.name)  # of 1980, whenever it is written
          entry.create_system, entry.external_attr = 3, 0o644 << 16
          archive.writestr(entry, file.read_bytes())
      whole.flush()
      os.fsync(whole.fileno())
    atomic.publish(part, path)
  except OSError as error:
    raise RunError(
      f'{path} can not be written ({error.strerror or error}). Choose another '
      '--output, or make room.'
    ) from error
  finally:
    part.unlink(missing_ok=True)
  log.info(
    '%s: %d predictions, %.1f MB, to be uploaded.',
    *(path, len(files), path.stat().st_size / 1e6),
  )
  return [path]


def _core(path):
  """`aachen_000000_000019`, or None."""
  match = _NAME.fullmatch(path.stem)
  return match and match[1]
