"""Looks for the CRF's parameters on a sample of a split, as its authors did.

Chen et al. 2016 (arXiv:1606.00915), section 4.1: the spatial kernel stays as it
is, weight and widths of the bilateral one are tried on 100 pictures, first in
large steps and then in small ones around the best.
"""

import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tqdm

from deeplax import config as config_lib
from deeplax import (
  evaluate_run,
  evaluation_table,
  inference,
  metrics,
  refinement,
  steps,
)
from deeplax import workdir as workdir_lib
from deeplax.data import pipeline
from deeplax.errors import RunError

# Widths in pixels, widths in colour, weights.
_COARSE = ((30.0, 65.0, 100.0), (3.0, 6.0, 10.0), (3.0, 5.0))
_FINE = (15.0, 1.5, 1.0)  # to both sides of the best
_PICTURES = 20


def crf_search(
  workdir: str | os.PathLike,
  *,
  split: str | None = None,
  step: int | None = None,
  output_strides: Sequence[int] = (),
  scales: Sequence[float] = (1.0,),
  flip: bool = False,
  window: tuple[int, int] | None = None,
  data_dir: str | None = None,
  batch_size: int | None = None,
  max_pictures: int | None = None,
  workers: int | None = None,
  crf: bool | None = None,
  crf_options: Mapping[str, Any] | None = None,
) -> list[tuple[float, dict[str, Any]]]:
  """Tries parameters of the CRF, and prints the best with its flags.

  Args:
    workdir, split, step, scales, flip, window, data_dir, workers: As of
      `evaluate_run`.
    output_strides: At most one.
    batch_size, crf: Not used: pictures come one by one, and go through the CRF.
    max_pictures: How many, the first of the split; default: 20.
    crf_options: What to change of `config.crf` before.

  Returns:
    mIoU and `dense_crf`'s arguments of every trial, the best first.

  Raises:
    RunError: No run, no such checkpoint, other classes, or bad options.
    DataError: Data missing or unusable.
  """
  del batch_size, crf
  config, info, variables, step = workdir_lib.load_run(workdir, step=step)
  split = split or config.dataset.eval_split
  if len(output_strides) > 1:
    raise RunError(
      f'output_stride (={tuple(output_strides)}) must be one for a search.'
    )
  given = refinement.options(config, True, **(crf_options or {}))
  (stride,) = output_strides or (config.model.output_stride,)
  try:
    scales = inference.check_scales(scales)
    model = evaluate_run.build(config, info, output_stride=stride)
  except ValueError as error:
    raise RunError(str(error)) from error
  folder = config.dataset.dir if data_dir is None else data_dir
  evaluate_run.check_classes(config.dataset.name, folder, info)
  source = evaluate_run.First(
    evaluate_run.open_source(config.dataset.name, split, folder, info),
    max_pictures or _PICTURES,
  )
  eval_step = steps.make_eval_step(
    model,
    num_classes=info.num_classes,
    void_class=config.loss.void_class,
    scales=scales,
    flip=flip,
    **config_lib.resampling(config),
    window=window,
    with_probs=True,
  )
  variables = jax.device_put(variables)

  def pictures() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    with pipeline.eval_batches(
      source,
      ops=config.input.eval,
      batch_size=1,
      workers=config.input.workers if workers is None else workers,
      on_error=config.dataset.on_error,
    ) as batches:
      for batch in tqdm.tqdm(
        batches,
        total=len(source),
        unit='picture',
        leave=False,
        disable=not sys.stderr.isatty(),
      ):
        arrays = {k: batch[k] for k in ('image', 'label', 'valid')}
        probs = np.asarray(eval_step(variables, arrays)['probs'][0])
        if batch['valid'][0]:
          yield batch['image'][0], batch['label'][0], probs

  def trials(points, known=()):
    found = [dict(given, bilateral=point) for point in points]
    return mean_ious(
      pictures(), [t for t in found if t not in known], info.num_classes
    )

  results = trials(itertools.product(*_COARSE))
  best = max(results, key=lambda pair: pair[0])[1]['bilateral']
  around = [
    [v for v in (b - delta, b, b + delta) if v > 0]
    for b, delta in zip(best, _FINE)
  ]
  results += trials(itertools.product(*around), [t for _, t in results])
  # The network alone, as a CRF of no iterations.
  before = mean_ious(
    pictures(), [dict(given, num_iterations=0)], info.num_classes
  )
  results.sort(key=lambda pair: -pair[0])
  print(f'{workdir}, step {step}, {split}: {len(source)} pictures')
  print(f'mIoU {100 * before[0][0]:6.2f} % before the CRF')
  for miou, trial in results:
    print(f'mIoU {100 * miou:6.2f} % {evaluation_table.crf_words(trial)}')
  print(f'Best: {evaluation_table.crf_words(results[0][1])}')
  return results


def mean_ious(
  pictures: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]],
  trials: Sequence[dict[str, Any]],
  num_classes: int,
) -> list[tuple[float, dict[str, Any]]]:
  """The mIoU of every trial over all pictures: image, label, probs."""
  count = jax.jit(
    metrics.confusion_matrix, static_argnames=('num_rows', 'num_columns')
  )
  totals = [0] * len(trials)
  for image, label, probs in pictures:
    for i, trial in enumerate(trials):
      refined = refinement.refine_labelled(image, label, probs, trial)
      pred = np.argmax(refined, -1).astype(np.uint8)
      totals[i] = totals[i] + np.asarray(
        count(
          label[None],
          pred[None],
          num_rows=num_classes,
          num_columns=probs.shape[-1],
        ),
        np.int64,
      )
  return [
    (metrics.mean(metrics.class_iou(total)), trial)
    for total, trial in zip(totals, trials)
  ]
