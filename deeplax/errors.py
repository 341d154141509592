"""Errors that are the user's to mend: shown as one paragraph, no traceback."""


class UserError(ValueError):
  """Says what was found, what was expected and what to do."""


class ConfigError(UserError):
  """A config that can't be run."""


class RunError(UserError):
  """A workdir, a checkpoint or a run that can't go on."""


class Stopped(Exception):  # noqa: N818, no error
  """A run ended where it was told to, and the same command goes on there.

  Attributes:
    in_order: Whether everything that was at work has come to its end, in all
      processes of a job.
  """

  def __init__(self, message: str, *, in_order: bool = True):
    super().__init__(message)
    self.in_order = in_order


class WeightsError(UserError):
  """A file of weights that can't be read, or does not fit the network."""
