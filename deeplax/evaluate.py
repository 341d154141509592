"""Evaluates a network on a whole split: every picture once, divided once."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tqdm
from jax.sharding import Mesh

from deeplax import metrics, refinement, sharding, steps, supervisor
from deeplax.data import DataError, pipeline
from deeplax.data.info import DatasetInfo
from deeplax.evaluation import Evaluation
from deeplax.instances import number_objects
from deeplax.measures import Measures
from deeplax.overlap import Threads
from deeplax.prefetch import Prefetch
from deeplax.tally import Tally


class Evaluator:
  """Call it with variables, as often as wanted: compiled once per shape.

  The figures, with `prefix` = `'val'`:
    `val/loss`: sum / weight of `loss_fn` over the split.
    `val/miou`, `val/iou/<class>`, `val/category_miou`,
    `val/category_iou/<category>`, `val/pixel_accuracy`, `val/mean_accuracy`:
      from the confusion matrix of the whole split; see `deeplax.metrics`.
    `val/one_minus_soft_iou`: 1 - mean of `metrics.soft_iou` over pictures; the
      lower the better. With `void_class` this is what the DeepLab course
      project printed as "mIOU", void and all (there at the size that the
      network saw, here at the label's); without, it runs over the classes and
      labelled pixels there are, and compares with no published figure.
    `val/miiou`, `val/iiou/<class>`, `val/category_miiou`,
    `val/category_iiou/<category>`: where the source gives `'instance'`.
    `val/skipped_examples`: pictures left out, where `on_error` is `'skip'`.

  A trained void class is a prediction like any other, and wrong at a labelled
  pixel; void truth counts in none of the true figures. Both as the official
  Cityscapes scorer does it.
  """

  def __init__(
    self,
    model: Any,
    source: Sequence[dict[str, Any]],
    info: DatasetInfo,
    *,
    mesh: Mesh,
    batch_size: int,
    ops: str = '',
    workers: int = 0,
    loss_fn: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    align_corners: bool = False,
    half_pixel_centers: bool = True,
    window: tuple[int, int] | None = None,
    void_class: bool = False,
    pictures: int = 4,
    prefix: str = 'val',
    on_error: str = 'raise',
    crf: Mapping[str, Any] | None = None,
    measure: bool = False,
  ):
    """Compiles nothing yet.

    Args:
      model: A module of `deeplax.models.build` with G or G + 1 outputs.
      source: Pictures, see `deeplax.data.Source`.
      info: Their G classes.
      mesh: In a job of several processes, of this process's devices alone:
        each evaluates its share, and the sums are added at the end.
      batch_size: Pictures at once over all processes; rounded up so that every
        device gets as many.
      ops: Operations before the network, e.g. `'resize_image(512, 1024)'`.
      workers: Processes that read.
      loss_fn: `(logits, labels) -> (sum, weight)`, at label size, 255 ignored.
      scales, flip, align_corners, half_pixel_centers, window: See
        `inference.predict_logits`.
      void_class: Whether void is trained as the last class.
      pictures: How many to keep, for TensorBoard.
      prefix: Of the scalars' names.
      on_error: `'skip'` leaves out pictures that raise `DataError`.
      crf: Of `refinement.options`: every picture is scored after the CRF, too.
      measure: Whether there are `measures`: some milliseconds a picture.
    """
    if mesh.is_multi_process:
      raise ValueError(
        'the mesh of an Evaluator spans several processes; expected one of '
        'this process alone: make_mesh(devices=jax.local_devices()).'
      )
    share = -(-batch_size // jax.process_count())
    devices = mesh.shape['data']
    self._info, self._mesh, self._prefix = info, mesh, prefix
    self._void_class = void_class
    self._skipping = on_error == 'skip'
    self._wanted = pictures if jax.process_index() == 0 else 0
    self._num_pictures = len(
      range(jax.process_index(), len(source), jax.process_count())
    )
    self._batches = lambda: pipeline.eval_batches(
      source,
      ops=ops,
      batch_size=-(-share // devices) * devices,
      workers=workers,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      on_error=on_error,
    )
    self._crf, self._measure = crf, measure
    scoring = dict(
      num_classes=info.num_classes,
      loss_fn=loss_fn,
      void_class=void_class,
      with_confidence=measure,
    )
    self._score = steps.make_score_step(**scoring)
    self._step = steps.make_eval_step(
      model,
      **scoring,
      scales=scales,
      flip=flip,
      align_corners=align_corners,
      half_pixel_centers=half_pixel_centers,
      window=window,
      with_probs=crf is not None,
    )
    self._count = jax.jit(
      _count_objects, static_argnames=('num_rows', 'num_columns')
    )

  def __call__(
    self,
    variables: dict[str, Any],
    stop: Callable[[], bool] = lambda: False,
  ) -> Evaluation | None:
    """Evaluates; in a job of several processes, all of them must call.

    Args:
      variables: `{'params', 'batch_stats'}`, numpy or of this mesh.
      stop: Looked at between batches; True in one process ends it in all.

    Returns:
      None if it was stopped.

    Raises:
      DataError: On a picture that can't be used, unless told to skip those;
        then if there is no other.
    """
    variables = jax.device_put(variables, sharding.replicated(self._mesh))
    # Before and, if there is one, after the CRF.
    tallies = [
      Tally(self._info, void_class=self._void_class)
      for _ in range(1 + (self._crf is not None))
    ]
    kept = [[] for _ in tallies]
    measures = None
    if self._measure:
      measures = Measures(self._info, void_class=self._void_class)
    bar = tqdm.tqdm(
      total=self._num_pictures,
      unit='picture',
      desc=self._prefix,
      leave=False,
      dynamic_ncols=True,
      disable=not sys.stderr.isatty(),
    )
    with (
      bar,
      Threads() as threads,
      self._batches() as batches,
      Prefetch(batches, lambda batch: batch, stop=stop) as ahead,
    ):
      look = functools.partial(_look, measures, threads)
      previous = None
      for batch in ahead:
        if stop():
          break
        current = (batch, *self._dispatch(variables, batch, threads))
        # The device is busy with this batch while the one before is added.
        if previous:
          self._take(tallies, kept, look, *previous)
        previous = current
        supervisor.beat()
        bar.update(int(batch['valid'].sum()))
      if previous:
        self._take(tallies, kept, look, *previous)
      for tally in tallies:
        tally.totals['skipped'] += batches.skipped
        tally.totals['stopped'] += stop()
    evaluation = None
    for tally, pictures in reversed([*zip(tallies, kept)]):
      tally.add_processes()
      if tally.totals['stopped']:
        return None
      examples, skipped = (
        int(tally.totals[name]) for name in ('examples', 'skipped')
      )
      if not examples:
        raise _nothing_usable(self._prefix, skipped, batches.errors)
      scalars = tally.scalars()
      if self._skipping:
        scalars['skipped_examples'] = float(skipped)
      evaluation = Evaluation(
        {f'{self._prefix}/{k}': v for k, v in scalars.items()},
        tally.confusion,
        pictures,
        examples,
        skipped,
        refined=evaluation,
      )
    if measures:
      measures.add_processes()
    return dataclasses.replace(evaluation, measures=measures)

  def _dispatch(self, variables, batch, threads):
    """Starts the work on a batch: `(results, objects or None)`."""
    out = self._step(variables, self._put(self._arrays(batch)))
    objects = None
    if 'instance' in batch:
      # After the step was sent, so that the device does not wait for it.
      objects = number_objects(
        batch['instance'], batch['valid'], self._info.label_to_train, threads
      )
    return self._with_objects(out, objects), objects

  def _arrays(self, batch):
    return {k: batch[k] for k in ('image', 'label', 'valid')}

  def _with_objects(self, out, objects):
    """Adds the pixels by object and prediction."""
    if objects is None:
      return out
    index, classes = objects
    out['objects'] = self._count(
      self._put({'index': index})['index'],
      out['pred'],
      # Few different sizes: each is compiled once.
      num_rows=max(64, 1 << (len(classes) - 1).bit_length()),
      num_columns=out['confusion'].shape[1],
    )
    return out

  def _put(self, arrays):
    return sharding.put_batch(arrays, self._mesh)

  def _take(self, tallies, kept, look, batch, out, objects):
    """Adds the results of a batch; waits for the device."""
    outs = [out]
    if self._crf is not None:
      outs.append(self._refined(batch, np.asarray(out.pop('probs')), objects))
    for tally, pictures, result in zip(tallies, kept, outs):
      self._add(tally, pictures, batch, result, objects)
    look(batch, result)

  def _refined(self, batch, probs, objects):
    """The results of a batch after the CRF."""
    probs = probs.copy()
    for i in np.flatnonzero(batch['valid']):
      probs[i] = refinement.refine_labelled(
        batch['image'][i], batch['label'][i], probs[i], self._crf
      )
    # A probability that underflowed has a finite logarithm, and loss.
    logits = np.log(np.maximum(probs, np.finfo(probs.dtype).tiny))
    arrays = self._put({'logits': logits, **self._arrays(batch)})
    out = self._score(arrays.pop('logits'), arrays)
    return self._with_objects(out, objects)

  def _add(self, tally, kept, batch, out, objects):
    maps = ('pred', 'confidence')
    sums = {k: v for k, v in out.items() if k not in maps}
    classes = None if objects is None else objects[1]
    tally.add(jax.device_get(sums), classes, batch['valid'])
    if len(kept) < self._wanted:
      pred = np.asarray(out['pred'])
      for i in np.flatnonzero(batch['valid'])[: self._wanted - len(kept)]:
        keys = ('image', 'label', 'id')
        kept.append({k: batch[k][i] for k in keys} | {'pred': pred[i]})


def _look(measures, threads, batch, out):
  """Measures the pictures of a batch, beside what goes on."""
  if measures is None:
    return
  pred, confidence = np.asarray(out['pred']), np.asarray(out['confidence'])
  for i in np.flatnonzero(batch['valid']):
    threads.behind(measures.add, batch, i, pred[i], confidence[i])


def _nothing_usable(split: str, skipped: int, errors: Sequence[str]):
  """Instead of figures that are all NaN."""
  first = f' The first one: {errors[0]}' if errors else ''  # another process's
  return DataError(
    f'{split}: not one of the {skipped} pictures can be used, with on_error '
    f"'skip'.{first}",
    kind='nothing usable',
  )


def _count_objects(index, pred, *, num_rows, num_columns):
  """Pixels by object and prediction."""
  return metrics.confusion_matrix(
    *sharding.cut((index, pred)), num_rows, num_columns
  )
