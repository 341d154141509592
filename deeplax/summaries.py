"""What a run writes down: metrics.jsonl always, TensorBoard where it can.

TensorBoard files are written through clu, which needs tensorflow. Lean GPU and
TPU nodes come without it: then one line says so and metrics.jsonl goes on.
"""

import importlib.util
import json
import logging
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from deeplax import atomic

log = logging.getLogger('deeplax')

FILE = 'metrics.jsonl'
# What no two runs have alike.
TIMINGS = (
  'train/step_time',
  'train/images_per_second',
  'train/seconds_per_epoch',
)


def cut_back(
  workdir: pathlib.Path, step: int, *, evaluated: bool = True
) -> None:
  """Drops from metrics.jsonl what was written after `step`, all at once.

  A killed run may have gone on past its last checkpoint, and its last line may
  be half written; both are computed again.

  Args:
    workdir: Of the run.
    step: Of the checkpoint.
    evaluated: False drops the evaluation of `step` itself, too.
  """
  path = workdir / FILE
  if not path.exists():
    return
  kept = []
  for line in path.read_text(errors='replace').splitlines():
    try:
      row = json.loads(line)
    except json.JSONDecodeError:
      break
    again = row['step'] == step and not evaluated and _is_evaluation(row)
    if row['step'] <= step and not again:
      kept.append(line + '\n')
  atomic.write(path, ''.join(kept).encode())


def _is_evaluation(row):
  return not any(name.startswith('train/') for name in row)


def read(workdir: pathlib.Path) -> list[dict[str, float]]:
  """All rows of metrics.jsonl."""
  lines = (workdir / FILE).read_text().splitlines()
  return [json.loads(line) for line in lines]


def last_evaluation(workdir: pathlib.Path) -> dict[str, float]:
  """The figures of the last evaluation, those that are numbers."""
  rows = read(workdir) if (workdir / FILE).exists() else []
  rows = [row for row in rows if _is_evaluation(row)]
  return {k: v for k, v in rows[-1].items() if k != 'step'} if rows else {}


class Summaries:
  """Writes scalars, pictures and texts of one process of a run.

  What is meant for TensorBoard waits for `open`, or `close`: these import
  tensorflow, which takes seconds, and a run's first figures need not wait.

  Args:
    workdir: metrics.jsonl and the TensorBoard files go here.
    active: False makes every method do nothing: one process of a job writes.
  """

  def __init__(self, workdir: pathlib.Path, *, active: bool = True):
    self._active, self._writer = active, None
    if not active:
      return
    # Line by line, so that a killed run leaves whole lines behind.
    self._file = (workdir / FILE).open('a', buffering=1)
    self._workdir = workdir
    self._opened, self._first = False, None
    self._waiting: list[tuple] = []  # calls of the writer that is not yet there

  def open(self) -> None:
    """Opens the TensorBoard file and writes what has waited for it."""
    if not self._active or self._opened:
      return
    self._opened = True
    try:
      self._writer = _tensorboard_writer(self._workdir)
    except Exception as error:  # tensorflow's own: a full disk, say
      self._give_up(error)
    if self._writer and self._first:
      self._describe(*self._first)
    for call in self._waiting:
      self._draw(*call)
    self._first, self._waiting = None, []

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Writes plain numbers; those that are not finite only to TensorBoard."""
    if not self._active:
      return
    values = {name: float(value) for name, value in values.items()}
    row = {k: v for k, v in values.items() if math.isfinite(v)}
    self._file.write(json.dumps({'step': step} | row) + '\n')
    # Tensorflow keeps every number of Python's that it is ever given.
    values = {name: np.asarray(value) for name, value in values.items()}
    self._draw('write_scalars', np.int64(step), values)

  def images(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
    """Writes uint8[H,W,3] pictures to TensorBoard."""
    batches = {name: image[None] for name, image in pictures.items()}
    self._draw('write_images', np.int64(step), batches)

  def start(self, step: int, config: dict[str, Any], params: Any) -> None:
    """Describes the run, for the head of TensorBoard's file.

    Args:
      step: Step at which it starts.
      config: Nested; its leaves become hyper-parameters.
      params: Tree of parameters, for the overview.
    """
    self._first = step, config, params

  def _describe(self, step, config, params):
    from clu import parameter_overview

    table = parameter_overview.get_parameter_overview(
      params, include_stats=False
    )
    # Four spaces make a preformatted block in Markdown.
    block = ''.join(f'    {line}\n' for line in table.splitlines())
    self._draw('write_texts', step, {'parameters': block})
    self._draw('write_hparams', _hparams(config))

  def _draw(self, method, *args):
    """Calls TensorBoard's writer; metrics.jsonl does without it."""
    if self._active and not self._opened:
      self._waiting.append((method, *args))
    if not self._writer:
      return
    try:
      getattr(self._writer, method)(*args)
    except Exception as error:  # tensorflow's, of this call or an earlier one
      self._give_up(error)

  def _give_up(self, error):
    # A full disk, say: that must not hide what is said of it elsewhere.
    log.warning('TensorBoard files end here: %s', str(error)[:300])
    self._writer = None

  def sync(self) -> None:
    """What metrics.jsonl has is on the disk afterwards."""
    if self._active:
      os.fsync(self._file.fileno())

  def close(self) -> None:
    if not self._active:
      return
    self._file.close()
    if self._waiting:
      self.open()
    if self._writer:
      self._draw('close')


def _hparams(tree, prefix=''):
  if isinstance(tree, dict):
    flat = {}
    for key, value in tree.items():
      flat |= _hparams(value, f'{prefix}.{key}' if prefix else key)
    return flat
  plain = isinstance(tree, bool | int | float | str)
  return {prefix: tree if plain else str(tree)}


def _tensorboard_writer(workdir):
  missing = [
    name
    for name in ('tensorflow', 'tensorboard', 'clu')
    if importlib.util.find_spec(name) is None
  ]
  if missing:
    log.info(
      'TensorBoard files are not written (%s not installed); %s goes on.',
      ', '.join(missing),
      FILE,
    )
    return None
  # TensorFlow greets at import; only its errors matter here.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  from clu import metric_writers  # imports tensorflow, seconds

  return metric_writers.AsyncWriter(
    metric_writers.SummaryWriter(str(workdir)),
    num_workers=1,  # several could overtake each other
  )
