"""Looks for the CRF's parameters on a sample of a split, as its authors did.

Chen et al. 2016 (arXiv:1606.00915), section 4.1: the spatial kernel stays as it
is, weight and widths of the bilateral one are tried on 100 pictures, first in
large steps and then in small ones around the best.
"""

import functools
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import tqdm

from deeplax import config as config_lib
from deeplax import (
  dry_run,
  evaluate_run,
  evaluation_table,
  inference,
  metrics,
  refinement,
  steps,
)
from deeplax import workdir as workdir_lib
from deeplax.data import pipeline
from deeplax.data.info import DatasetInfo
from deeplax.errors import RunError

# Widths in pixels, widths in colour, weights.
_COARSE = ((30.0, 65.0, 100.0), (3.0, 6.0, 10.0), (3.0, 5.0))
_FINE = (15.0, 1.5, 1.0)  # to both sides of the best
_PICTURES = 20

Trial = tuple[float, dict[str, Any]]


def crf_search(
  workdir: str | os.PathLike,
  *,
  split: str | None = None,
  step: int | None = None,
  output_strides: Sequence[int] = (),
  max_pictures: int | None = None,
  crf: bool | None = None,
  crf_options: Mapping[str, Any] | None = None,
  **views: Any,
) -> list[Trial]:
  """Tries parameters of the CRF, and prints the best with its flags.

  Args:
    workdir: Of a run.
    split: Default: `config.dataset.eval_split`.
    step: Of a checkpoint; default: the best by val mIoU, or the newest.
    output_strides: At most one; default: `config.model.output_stride`.
    max_pictures: How many, the first of the split; default: 20.
    crf: Not False: the search is of nothing else.
    crf_options: What to change of `config.crf` before.
    **views: Of `Sample`: `data_dir`, `scales`, `flip`, `window`, `workers`.

  Returns:
    mIoU and `dense_crf`'s arguments of every trial, the best first.

  Raises:
    RunError: No run, no such checkpoint, other classes, or bad options.
    DataError: Data missing or unusable.
  """
  if jax.process_count() > 1:
    raise RunError(
      f'crf_search is for one process, not for {jax.process_count()}. '
      'Start it without the flags of a job.'
    )
  config, info, variables, step = workdir_lib.load_run(workdir, step=step)
  split = split or config.dataset.eval_split
  if len(output_strides) > 1 or crf is False:
    raise RunError(
      f'crf_search goes with one output stride, not {tuple(output_strides)}, '
      'and without --nocrf.'
    )
  given = refinement.options(config, True, **(crf_options or {}))
  (stride,) = output_strides or (config.model.output_stride,)
  sample = Sample(
    config, info, variables, split, stride, max_pictures or _PICTURES, **views
  )
  dry_run.ends_here(
    lambda: (
      f'{workdir}, step {step}: the CRF would be searched on '
      f'{len(sample.source)} pictures of {split}.'
    )
  )
  # The network alone is a CRF of no iterations.
  nothing = dict(given, num_iterations=0)
  coarse = [dict(given, bilateral=b) for b in itertools.product(*_COARSE)]
  (before, _), *results = sample.mean_ious([nothing, *coarse])
  best = max(results, key=lambda trial: trial[0])[1]['bilateral']
  around = [
    [v for v in (b - delta, b, b + delta) if v > 0]
    for b, delta in zip(best, _FINE)
  ]
  fine = [dict(given, bilateral=b) for b in itertools.product(*around)]
  results += sample.mean_ious([trial for trial in fine if trial not in coarse])
  results.sort(key=lambda trial: -trial[0])
  print(f'{workdir}, step {step}, {split}: {len(sample.source)} pictures')
  print(f'mIoU {100 * before:6.2f} % before the CRF')
  for miou, trial in results:
    print(f'mIoU {100 * miou:6.2f} % {evaluation_table.crf_words(trial)}')
  print(f'Best: {evaluation_table.crf_words(results[0][1])}')
  return results


class Sample:
  """The first pictures of a split, and what a network says of them."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    info: DatasetInfo,
    variables: dict[str, Any],
    split: str,
    output_stride: int,
    max_pictures: int,
    *,
    data_dir: str | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: tuple[int, int] | None = None,
    workers: int | None = None,
  ):
    """Opens the split; arguments as of `evaluate_run`."""
    self._info = info
    self._variables = jax.device_put(variables)
    try:
      scales = inference.check_scales(scales)
      model = evaluate_run.build(config, info, output_stride=output_stride)
    except ValueError as error:
      raise RunError(str(error)) from error
    self.source = evaluate_run.open_split(
      config, info, split, data_dir, max_pictures
    )
    self._step = steps.make_eval_step(
      model,
      num_classes=info.num_classes,
      void_class=config.loss.void_class,
      scales=scales,
      flip=flip,
      **config_lib.resampling(config),
      window=window,
      with_probs=True,
    )
    self._batches = functools.partial(
      pipeline.eval_batches,
      self.source,
      ops=config.input.eval,
      batch_size=1,
      workers=config.input.workers if workers is None else workers,
      on_error=config.dataset.on_error,
    )

  def mean_ious(self, trials: Sequence[dict[str, Any]]) -> list[Trial]:
    """The mIoU of every trial over all pictures."""
    count = jax.jit(
      metrics.confusion_matrix, static_argnames=('num_rows', 'num_columns')
    )
    totals = [0] * len(trials)
    for image, label, probs in self._pictures():
      for i, trial in enumerate(trials):
        refined = refinement.refine_labelled(image, label, probs, trial)
        confusion = count(
          label[None],
          np.argmax(refined, -1)[None],
          num_rows=self._info.num_classes,
          num_columns=probs.shape[-1],
        )
        totals[i] = totals[i] + np.asarray(confusion, np.int64)
    return [
      (metrics.mean(metrics.class_iou(total)), trial)
      for total, trial in zip(totals, trials)
    ]

  def _pictures(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, label and the network's probabilities of one after the other."""
    with self._batches() as batches:
      for batch in tqdm.tqdm(
        batches,
        total=len(self.source),
        unit='picture',
        leave=False,
        disable=not sys.stderr.isatty(),
      ):
        arrays = {k: batch[k] for k in ('image', 'label', 'valid')}
        probs = np.asarray(self._step(self._variables, arrays)['probs'][0])
        if batch['valid'][0]:
          yield batch['image'][0], batch['label'][0], probs
