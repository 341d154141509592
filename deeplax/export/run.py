"""Exports a run: written, run and compared before it has its name."""

import contextlib
import logging
import os
import pathlib
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import tqdm

from deeplax import atomic, checksums, dry_run, picture_paths, sharding
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.errors import RunError
from deeplax.export import card as card_lib
from deeplax.export import card_text, formats, program, verify
from deeplax.export import folder as folder_lib
from deeplax.export import pictures as pictures_lib
from deeplax.export.pictures import Pictures
from deeplax.export.program import Program
from deeplax.predictor import Predictor, evaluation_padding, evaluation_size

log = logging.getLogger('deeplax')

# Of the comparison, where any number of pictures is taken at once.
_BATCH = 2


class Export(NamedTuple):
  """What `export_run` made.

  Attributes:
    folder: Of the file, its card and their checksums.
    card: What stands in `model_card.json`.
    failed: Pictures that were named and could not be used to compare.
  """

  folder: pathlib.Path
  card: dict[str, Any]
  failed: list[str]

  def __str__(self) -> str:
    return f'{card_text.figures(self.card)}\nWritten to {self.folder}'


def export_run(
  workdir: str | os.PathLike,
  *,
  form: str,
  size: tuple[int, int],
  output: str | os.PathLike | None = None,
  dynamic_batch: bool = False,
  probs: bool = False,
  int8: bool = False,
  step: int | None = None,
  output_stride: int | None = None,
  pictures: Sequence[str] = (),
  max_pictures: int = 20,
  calibration: int = 100,
  data_dir: str | None = None,
) -> Export:
  """Writes a run as `<output>/<form>-<size>.../`: a file and its model card.

  The file is loaded by its own runtime and compared with deeplax's prediction
  on pictures, on a CPU. Where less than `verify.LEAST` of the labels are equal,
  the folder is kept as `failed-...` instead.

  Args:
    workdir: Of a run.
    form: A module of `export/formats`.
    size: (height, width) of the pictures that the file takes.
    output: Folder; default: `<workdir>/export`.
    dynamic_batch: Any number of pictures at once, not one.
    probs: Probabilities, too.
    int8: Quantised to 8 bits, which costs accuracy: no least share of equal
      labels, but the mIoU before and after.
    step: Of a checkpoint; default: the best by val mIoU, or the newest.
    output_stride: Default: `config.model.output_stride`.
    pictures: Files or folders to compare on; default: the evaluation split.
    max_pictures: To compare on, at most.
    calibration: Pictures of the training split that give the ranges of 8 bits.
    data_dir: Default: `config.dataset.dir`.

  Raises:
    RunError: No run, an option that can't be, a runtime that is not installed,
      or an export that gives other labels.
    DataError: Data missing or unusable.
  """
  writer = formats.find(form)
  _check(form, writer, dynamic_batch, int8, max_pictures, calibration)
  workdir = pathlib.Path(workdir)
  output = workdir / 'export' if output is None else pathlib.Path(output)
  config, info, variables, step = workdir_lib.load_run(workdir, step=step)
  options = dict(probs=probs, dynamic_batch=dynamic_batch)
  made = program.build(config, info, variables, size, output_stride, **options)
  shown, ranges = pictures_lib.of_run(
    *(config, info, size, output),
    inputs=pictures,
    max_pictures=max_pictures,
    calibration=calibration if int8 else 0,
    data_dir=data_dir,
  )
  # What is the fastest on another backend need not run on a CPU.
  lowering = {} if jax.default_backend() == 'cpu' else program.LOWERING
  network, model = program.network(config, info, output_stride, **lowering)
  card = card_lib.make(
    *(config, info, variables, made, model),
    name=workdir.resolve().name,
    step=step,
    probs=probs,
    evaluations=card_lib.evaluations(workdir, step),
  )
  for words in card['limits']:
    log.warning('%s', words)
  name = '{}-{}x{}'.format(form, *size) + ''.join(
    f'-{word}'
    for word, wanted in (
      ('int8', int8),
      ('probs', probs),
      ('batch', dynamic_batch),
    )
    if wanted
  )
  dry_run.ends_here(
    lambda: (
      f'{workdir}, step {step}, as {form} would be written to {output / name} '
      f'and run on {shown.where}.'
    )
  )
  picture_paths.make(output)  # minutes come next
  with folder_lib.unfinished(output / name) as part, _on_cpu() as device:
    log.info('Writing %s.', writer.FILE)
    write(writer, made, part / writer.FILE, ranges)
    log.info('Running it on %s.', shown.where)
    reference = _reference(config, info, network, variables, device)
    found = verify.compare(
      *(loaded(writer, part / writer.FILE), reference, shown, info),
      batch_size=_BATCH if dynamic_batch else 1,
      exact=not int8,
    )
    card = card_lib.finish(
      *(card, writer, part),
      form=form,
      device=device.device_kind,
      compared=(found, shown),
      ranges=ranges,
    )
    atomic.write_json(part / card_lib.JSON, card)
    atomic.write(part / card_lib.MARKDOWN, card_text.markdown(card).encode())
    checksums.write(part)
    if found.problem:
      kept = folder_lib.publish(part, output / f'failed-{name}')
      raise RunError(
        f'the export is not what deeplax gives: {found.problem}. It is kept as '
        f'{kept}, not to be used.'
      )
    return Export(
      folder_lib.publish(part, output / name),
      card,
      shown.failed if pictures else [],
    )


def _check(form, writer, dynamic_batch, int8, max_pictures, calibration):
  """RunError for options that this format does not have."""
  if dynamic_batch and not writer.DYNAMIC_BATCH:
    raise RunError(
      f'--dynamic_batch: {form} takes one picture at once. Leave it out, or '
      'choose another --format.'
    )
  if int8 and not hasattr(writer, 'write_int8'):
    raise RunError(
      f'--int8: {form} has no 8 bits here. Leave it out, or choose '
      '--format=tflite.'
    )
  for flag, value in (
    ('max_pictures', max_pictures),
    ('calibration', calibration),
  ):
    if value < 1:
      raise RunError(f'--{flag} (={value}) must be 1 or more.')


def write(
  writer: types.ModuleType,
  made: Program,
  path: pathlib.Path,
  ranges: Pictures | None,
) -> None:
  """Writes the file, or folder, without the names of folders of this machine.

  Those stand in what JAX traces, for its errors.
  """
  key = 'jax_hlo_source_file_canonicalization_regex'
  before = getattr(jax.config, key)
  jax.config.update(key, '.*')
  try:
    if ranges is None:
      return writer.write(made, path)

    def images():
      shown = tqdm.tqdm(
        ranges,
        unit='picture',
        desc='calibrating',
        leave=False,
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
      )
      return (picture.image[None] for picture in shown)

    writer.write_int8(made, path, images)
  finally:
    jax.config.update(key, before)


def _reference(config, info, network, variables, device) -> Predictor:
  """deeplax's own prediction, as `predict_run` has it, but for a CRF."""
  return Predictor(
    network,
    variables,
    info,
    resize_to=evaluation_size(config.input.eval),
    padding=evaluation_padding(config.input.eval),
    **config_lib.resampling(config),
    mesh=sharding.make_mesh(devices=[device]),
  )


def loaded(writer: types.ModuleType, path: pathlib.Path) -> verify.Run:
  """The file in its runtime, whose errors are RunErrors."""

  def attempt(work, *args):
    try:
      return work(*args)
    except Exception as error:  # each runtime has its own
      if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error):
        raise
      first = str(error).strip().partition('\n')[0][:300]
      raise RunError(
        f'{writer.NEEDS[writer.RUNTIME]} can not run what was written '
        f'({first}). Nothing is kept of it; choose another --format.'
      ) from error

  run = attempt(writer.load, path)
  return lambda images: attempt(run, images)


@contextlib.contextmanager
def _on_cpu() -> Iterator[jax.Device]:
  """Float32 is that everywhere there, and the runtimes are there, too."""
  try:
    device = jax.local_devices(backend='cpu')[0]
  except RuntimeError:  # JAX_PLATFORMS leaves it out
    device = jax.local_devices()[0]
  with jax.default_device(device):
    yield device
