"""The one error that a bad data set raises."""

from collections.abc import Iterable


class DataError(ValueError):
  """A file of a data set, or the whole of it, is not what it should be.

  The message names the file, what was found and what to do. The parts are
  kept apart as well, so that the label doctor can group equal findings.

  Attributes:
    found: What is wrong, with the value found and the value expected.
    fix: What to do about it, one sentence; '' if that is obvious.
    file: The file, or '' when the finding is about the whole data set.
    kind: A short, stable name of the finding, e.g. `'missing file'`.
  """

  def __init__(
    self, found: str, *, fix: str = '', file: object = '', kind: str = 'data'
  ):
    self.found, self.fix, self.file, self.kind = found, fix, str(file), kind
    head = f'{file}: {found}' if str(file) else found
    super().__init__(f'{head} {fix}' if fix else head)

  def __reduce__(self):
    # Exceptions are pickled by their positional arguments; ours travel from
    # Grain's worker processes to the trainer, so the parts must survive that.
    return _rebuild, (self.found, self.fix, self.file, self.kind)


def _rebuild(found: str, fix: str, file: str, kind: str) -> DataError:
  return DataError(found, fix=fix, file=file, kind=kind)


def first_few(items: Iterable[object], count: int = 5) -> str:
  """`'a, b, c and 7 more'`: a long list of names in one line of a message."""
  items = [str(item) for item in items]
  text = ', '.join(items[:count])
  more = len(items) - count
  return f'{text} and {more} more' if more > 0 else text


def missing_data(name: str, looked_for: str, how_to_get: str) -> DataError:
  """The error for a data set that isn't where the config says."""
  return DataError(
    f'{name}: nothing found; looked for {looked_for}.',
    fix=f'{how_to_get} Then point --config.dataset.dir there. To try things '
    'out first, configs/demo.py needs no data set.',
    kind='missing data set',
  )
