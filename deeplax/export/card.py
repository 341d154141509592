"""The model card of an export: what it is, as JSON."""

import dataclasses
import hashlib
import json
import logging
import math
import pathlib
import platform
import types
from typing import Any

import jax
import ml_collections
import numpy as np

from deeplax import config as config_lib
from deeplax import saved_config
from deeplax.data.info import IGNORE_LABEL, DatasetInfo
from deeplax.errors import RunError
from deeplax.export import formats
from deeplax.export.pictures import Pictures
from deeplax.export.program import INPUT, Program
from deeplax.export.verify import Comparison
from deeplax.models import norms
from deeplax.predictor import evaluation_padding, evaluation_size

log = logging.getLogger('deeplax')

JSON = 'model_card.json'
MARKDOWN = 'model_card.md'


def make(
  config: ml_collections.ConfigDict,
  info: DatasetInfo,
  variables: dict[str, Any],
  program: Program,
  model: dict[str, Any],
  *,
  name: str,
  step: int,
  probs: bool,
  evaluations: list[dict[str, Any]],
) -> dict[str, Any]:
  """What is known of a network before it is written.

  Args:
    config: Of the run.
    info: Its classes.
    variables: Of the checkpoint.
    program: What is exported.
    model: `config.model` as it is exported.
    name: Of the run.
    step: Of the checkpoint.
    probs: Whether probabilities are an output.
    evaluations: Of `evaluations`.
  """
  batch, height, width, _ = program.shape
  pixels = [batch or 'batch', height, width]
  outputs = config_lib.num_outputs(config, info)
  mean, deviation = norms.parse(config.model.input_norm)
  found = {
    'labels': {
      'dtype': 'uint8',
      'shape': pixels,
      'meaning': f'id of the likeliest class; {IGNORE_LABEL} is void',
    }
  }
  if probs:
    found['probs'] = {
      'dtype': 'float32',
      'shape': [*pixels, outputs],
      'meaning': 'probability of each class'
      + (', void last' if outputs > info.num_classes else ''),
    }
  return {
    'name': name,
    'step': step,
    'architecture': {
      'parameters': _count(variables['params']),
      'batch_statistics': _count(variables.get('batch_stats', {})),
      **model,
    },
    'input': {
      'name': INPUT,
      'dtype': 'uint8',
      'shape': [*pixels, 3],
      'meaning': 'RGB, 0..255, as it is stored',
    },
    'outputs': found,
    'preprocessing': {
      'inside': True,
      'resized_to': evaluation_size(config.input.eval),
      'padded_by': evaluation_padding(config.input.eval) or None,
      'mean': mean,
      'deviation': deviation,
      **config_lib.resampling(config),
    },
    'classes': [
      {
        'id': i,
        'name': label.name,
        'label_id': label.label_id,
        'colour': label.colour,
      }
      for i, label in enumerate(info.trained)
    ],
    'limits': _limits(config),
    'evaluations': evaluations,
    'training': config.to_dict(),
  }


def _count(tree: Any) -> int:
  return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def _limits(config: ml_collections.ConfigDict) -> list[str]:
  """What deeplax does with such a run, and the export does not."""
  found = []
  if config.crf.use:
    found.append('No CRF: the run predicts with one (crf.use) behind this.')
  if config.model.get('crf_rnn', 0):
    found.append(
      'No CRF: the network was trained with one as its last layer '
      '(model.crf_rnn), which is left out.'
    )
  if config.model.dtype != 'float32':
    found.append(f'In float32: it was trained in {config.model.dtype}.')
  return found


def finish(
  card: dict[str, Any],
  writer: types.ModuleType,
  folder: pathlib.Path,
  *,
  form: str,
  device: str,
  compared: tuple[Comparison, Pictures],
  ranges: Pictures | None,
) -> dict[str, Any]:
  """The whole card, as plain JSON has it.

  Args:
    card: Of `make`.
    writer: The format.
    folder: Where it has written.
    form: Its name.
    device: Kind of that on which it was compared.
    compared: What was found, and on which pictures.
    ranges: Pictures that gave the ranges of 8 bits.
  """
  found, shown = compared
  versions = formats.versions(writer)
  quantisation = None
  if ranges is not None:
    quantisation = {
      'source': ranges.where,
      'pictures': len(ranges) - len(ranges.failed),
    }
  tree = {
    'format': form if ranges is None else f'{form}, 8 bits',
    **card,
    'use': writer.USE,
    'quantisation': quantisation,
    'verification': {
      'passed': not found.problem,
      'runtime': versions[writer.RUNTIME],
      'device': device,
      'source': shown.where,
      **dataclasses.asdict(found),
    },
    'versions': sorted(
      {
        f'python {platform.python_version()}',
        f'jax {jax.__version__}',
        *versions.values(),
      }
    ),
    'files': _files(folder),
  }
  return _plain(tree)


def evaluations(workdir: pathlib.Path, step: int) -> list[dict[str, Any]]:
  """What launch/evaluate.py and the training found of a checkpoint."""
  found = []
  for path in sorted(workdir.glob(f'evaluation/*-{step}-*.json')):
    tree = saved_config.load_json(path)
    try:
      if tree['step'] != step:
        continue
      kept = {
        k: v for k, v in tree.items() if k not in ('confusion', 'refined')
      }
      kept['scalars'] = dict(tree['scalars'])
    except (TypeError, KeyError, ValueError) as error:
      raise RunError(
        f'{path} is not what launch/evaluate.py wrote ({error!r}). Delete it, '
        'or make it anew.'
      ) from error
    found.append({'source': f'evaluation/{path.name}', **kept})
  return found + _of_training(workdir / 'metrics.jsonl', step)


def _of_training(path: pathlib.Path, step: int) -> list[dict[str, Any]]:
  found = []
  lines = path.read_text().splitlines() if path.exists() else []
  for number, line in enumerate(lines, start=1):
    try:
      row = json.loads(line)
      if row['step'] != step:
        continue
      scalars = {k: v for k, v in row.items() if k.startswith('val/')}
    except (TypeError, KeyError, ValueError):  # a run that was killed
      log.warning('%s, line %d is damaged, and left out.', path, number)
      continue
    if scalars:
      found.append({'source': path.name, 'scalars': scalars})
  return found


def _files(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Name, bytes and SHA-256 of every file below a folder."""
  found = []
  for path in sorted(p for p in folder.rglob('*') if p.is_file()):
    with path.open('rb') as file:
      digest = hashlib.file_digest(file, 'sha256').hexdigest()
    found.append(
      {
        'name': path.relative_to(folder).as_posix(),
        'bytes': path.stat().st_size,
        'sha256': digest,
      }
    )
  return found


def _plain(tree: Any) -> Any:
  """As JSON has it: what is not a number is null, tuples are lists."""
  if isinstance(tree, dict):
    return {key: _plain(value) for key, value in tree.items()}
  if isinstance(tree, (list, tuple)):
    return [_plain(value) for value in tree]
  if isinstance(tree, float) and not math.isfinite(tree):
    return None
  return tree
