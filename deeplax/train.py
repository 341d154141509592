"""Training: one story, from a config to a workdir with a trained model."""

import contextlib
import logging
import pathlib

import jax
import ml_collections

from deeplax import (
  checkpoint,
  data,
  distributed,
  dry_run,
  fitting,
  init_from,
  interrupt,
  models,
  open_keys,
  recipe,
  sharding,
  summaries,
  supervisor,
  training_plan,
)
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.data import check, pipeline, write_memmap
from deeplax.loop import Loop
from deeplax.state import create_state

log = logging.getLogger('deeplax')

# Pictures that the label doctor reads before step 0.
DOCTOR_SAMPLE = 32


def train_and_evaluate(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, float]:
  """Trains to the end, or goes on from the newest checkpoint in `workdir`.

  SIGTERM, or Ctrl-C once, finishes and saves the step at hand; called again,
  it goes on as if nothing had been.

  Args:
    config: One of configs/, checked here before anything is read or compiled.
    workdir: Folder of the run; made when absent.

  Returns:
    The scalars of the last evaluation, `'val/miou'` among them.

  Raises:
    Stopped: On such a signal.
    ConfigError: On a config that can't be run.
    DataError: On data that is missing or that the label doctor rejects.
    RunError: On a workdir of another run, or a loss that is not finite.
  """
  with contextlib.ExitStack() as stack:
    stop = stack.enter_context(interrupt.stoppable())
    return _train(config, workdir, stop, stack)


def _train(config, workdir, stop, stack):
  # ---- Config and data: every mistake a user can make shows here, and leaves
  # no trace.
  config_lib.validate(config)
  if not workdir_lib.has_checkpoint(workdir):
    config_lib.validate_start(config)
  own = bool(open_keys.of(config))
  config = fitting.complete(config, workdir)
  dataset = config.dataset
  info = data.info(dataset.name, dataset.dir)
  train_source = data.source(dataset.name, dataset.train_split, dataset.dir)
  eval_source = data.source(dataset.name, dataset.eval_split, dataset.dir)
  config = config_lib.resolve(config, len(train_source))
  distributed.agree(
    'the config',
    config.to_json(indent=1),
    'Start all processes with the same flags.',
  )

  dry_run.ends_here(
    lambda: training_plan.words(
      config, workdir, info, len(train_source), len(eval_source)
    )
  )

  # ---- The folder, by the first process for all; it may take its time.
  with supervisor.patience():
    with distributed.first_alone('workdir') as first:
      if first:
        patience = 120 if jax.process_count() > 1 else 0
        stack.enter_context(workdir_lib.locked(workdir, patience=patience))
        checkpoint.set_damaged_aside(workdir / 'checkpoints')
        fresh = not workdir_lib.has_checkpoint(workdir)
        if fresh:  # it may not have been before damage was set aside
          config_lib.validate_start(config)
        workdir_lib.prepare(workdir, config, info)
        if fresh:
          examine_labels(config, advise=own)
    if config.input.cache:
      folder = pathlib.Path(config.input.cache) / dataset.train_split
      train_source = write_memmap.ensure_memmap(
        train_source, info, folder, on_error=dataset.on_error
      )
    with distributed.first_alone('class weights') as first:
      if first and fresh:
        recipe.count_class_weights(config, info, train_source, workdir)
    class_weights = recipe.class_weights(config, info, workdir)
    distributed.agree(
      'the workdir',
      workdir_lib.who_locked(workdir),
      f'It ({workdir}) must be a folder that all hosts share.',
    )

  # ---- Model, optimiser, state.
  mesh = sharding.make_mesh(**config.mesh)
  model = models.build(
    config_lib.num_outputs(config, info), **config_lib.model_options(config)
  )
  train_step, tx = recipe.make_step(config, info, model, mesh, class_weights)
  variables = models.initialize(model, config.seed)
  checkpointer = checkpoint.Checkpointer(workdir / 'checkpoints')
  # Who says so twice does not wait for a save.
  stack.callback(lambda: stop.at_once or checkpointer.close())
  first_step = checkpointer.latest_step() or 0
  evaluated = checkpointer.has_score(first_step)
  distributed.agree(
    'what there is',
    f'step {first_step}, evaluated: {evaluated}\n'
    f'{len(train_source)} pictures for training, {len(eval_source)} for '
    'evaluation\n'
    f'class weights {class_weights}',
    f'Workdir ({workdir}) and data must be the same on all hosts.',
  )
  if first_step >= config.total_steps and evaluated:
    log.info('The run in %s is complete: %d steps.', workdir, first_step)
    return summaries.last_evaluation(workdir)
  if config.init_from and not first_step:
    variables = init_from.load_initial(
      config.init_from, variables, strict=config.init_strict
    )
  ema = config.optimizer.ema_decay is not None
  state = create_state(
    sharding.put_replicated(variables, mesh), tx, config.seed, ema=ema
  )
  state = sharding.put_replicated(state, mesh)
  if first_step:
    state = checkpointer.restore(state, mesh)
    log.info('Going on from step %d of %d.', first_step, config.total_steps)

  # ---- What is written down: by one process, from the checkpoint's step on.
  main = distributed.is_first()
  if main:
    summaries.cut_back(workdir, first_step, evaluated=evaluated)
  writer = summaries.Summaries(workdir, active=main)
  stack.callback(writer.close)
  if not first_step:
    writer.start(0, config.to_dict(), variables['params'])

  # ---- The loop.
  loop = Loop(
    config,
    info,
    num_examples=len(train_source),
    writer=writer,
    checkpointer=checkpointer,
    evaluator=recipe.make_evaluator(
      config, info, model, eval_source, class_weights
    ),
    workdir=workdir,
    batch_ids=recipe.batch_ids(config, train_source),
    stop=stop,
  )
  batches = pipeline.train_batches(
    train_source,
    start_step=first_step,
    workers=config.input.workers,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    **recipe.batch_options(config, mesh),
  )
  with batches:
    return loop.run(state, first_step, train_step, batches, mesh)


def examine_labels(
  config: ml_collections.ConfigDict, *, advise: bool = False
) -> None:
  """The label doctor on a sample of both splits; stops on what is wrong.

  Args:
    config: Resolved.
    advise: Whether to propose class weights where classes are rare.
  """
  dataset = config.dataset
  for split in (dataset.train_split, dataset.eval_split):
    report = check.check(
      dataset.name, split, dataset.dir, sample=DOCTOR_SAMPLE, seed=config.seed
    )
    if report.failed and dataset.on_error == 'raise':
      raise data.DataError(
        f'the labels of {dataset.name}/{split} can not be trained on:\n'
        f'{report}\nAll of them are checked by launch/prepare.py --check.'
      )
    if report.problems:
      log.warning('Labels of %s/%s:\n%s', dataset.name, split, report)
    weighted = config.loss.class_weights or config.loss.class_weights_from_data
    if advise and report.advice and not weighted:
      log.info('In %d pictures, %s', report.read, report.advice)
