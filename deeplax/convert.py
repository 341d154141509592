"""Turns a file of weights into a folder like that of a run."""

import os
import pathlib

import ml_collections

from deeplax import checkpoint, data, dry_run, models, pretrained
from deeplax import config as config_lib
from deeplax import workdir as workdir_lib
from deeplax.errors import RunError
from deeplax.pretrained import Report


def convert(
  config: ml_collections.ConfigDict,
  source: str,
  weights: str | os.PathLike,
  output: str | os.PathLike,
  *,
  reinit_logits: bool = False,
) -> Report:
  """Writes a checkpoint that evaluate, predict and `init_from` take.

  Args:
    config: What the weights are to be: one of configs/. Its classes are those
      of its data set.
    source: See `deeplax.pretrained`.
    weights: The file.
    output: Folder for `config.json`, `dataset.json`, `checkpoints/0` and the
      report, `conversion.txt`; must hold no run yet.
    reinit_logits: See `pretrained.fill`.

  Returns:
    What became of every tensor.

  Raises:
    ConfigError: On a config that can't be.
    WeightsError: On weights that can't be read or do not fit.
    RunError: If the folder holds a run, or can't be written.
  """
  config_lib.validate_model(config)
  output = pathlib.Path(output)
  if workdir_lib.has_checkpoint(output):
    raise RunError(
      f'{output} holds checkpoints already. Choose another --output.'
    )
  info = data.info(config.dataset.name, config.dataset.dir)
  options = config_lib.model_options(config)
  model = models.build(config_lib.num_outputs(config, info), **options)
  file = pretrained.read(source, weights)
  variables = models.initialize(model, config.seed)
  variables, report = pretrained.fill(
    source, file, variables, options=options, reinit_logits=reinit_logits
  )
  config = ml_collections.ConfigDict(config)
  # There is no run whose pixels were counted: evaluation weighs all alike.
  config.loss.class_weights_from_data = False
  dry_run.ends_here(
    lambda: f'{report.summary()}\nIt would be written to {output}.'
  )
  with workdir_lib.locked(output):
    workdir_lib.prepare(output, config, info)
    checkpoint.save_variables(output / 'checkpoints', variables)
    report_file = output / workdir_lib.CONVERSION
    report_file.write_text(f'{source}: {weights}\n{report}\n')
  return report
