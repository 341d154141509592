"""Short trials of a config on its own data, before it is trained for long.

They use the network, the loss, the optimiser and the batches of training, and
leave nothing but a file or two in the workdir's `checks/`: a run that lies or
works there is not touched.
"""

import json
import pathlib
from collections.abc import Callable

import ml_collections

from deeplax import atomic
from deeplax.checks import learning_rate, overfit
from deeplax.checks.result import Result

FOLDER = 'checks'
NAMES: dict[str, Callable[..., Result]] = {
  'overfit': overfit.check,
  'lr': learning_rate.check,
}


def run(
  name: str,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  tell: Callable[[Result], None],
) -> int:
  """Carries out a check and writes `checks/<name>.json` and `<name>.png`.

  Args:
    name: `overfit` or `lr`.
    config: One of configs/.
    workdir: Of the run that this is for; it need not exist.
    tell: Gets the result, e.g. `print`.

  Returns:
    An exit code, 0 or 1.

  Raises:
    ConfigError: On a config that can't be run.
    DataError: On data that is missing or that the label doctor rejects.
  """
  result = NAMES[name](config, workdir)
  folder = workdir / FOLDER
  folder.mkdir(parents=True, exist_ok=True)
  atomic.write(
    folder / f'{name}.json', (json.dumps(result.figures) + '\n').encode()
  )
  if result.picture:
    atomic.write(folder / f'{name}.png', result.picture)
  tell(result)
  return int(not result.passed)
