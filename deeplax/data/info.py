"""The classes of a data set: one table, everything else derived from it."""

import collections
import dataclasses
import functools
import unicodedata

import numpy as np

IGNORE_LABEL = 255


@dataclasses.dataclass(frozen=True)
class Label:
  """One row of a data set's class table.

  Attributes:
    name: Human-readable name, e.g. `'road'`.
    label_id: The value stored in the data set's own label files.
    train_id: Index among the trained classes, or 255 when it is ignored.
    category: Coarser group, e.g. `'flat'`; the name itself if there is none.
    colour: RGB, each 0..255.
    has_instances: Whether single objects are told apart in the annotation.

  Raises:
    ValueError: A value that can't be. An id of -1 stands for no id.
  """

  name: str
  label_id: int
  train_id: int
  category: str
  colour: tuple[int, int, int]
  has_instances: bool = False

  def __post_init__(self):
    for key, fits, words in (
      ('name', _is_text(self.name), 'a text of printable characters'),
      ('label_id', _is_whole(self.label_id, -1, 65535), 'of -1..65535'),
      ('train_id', _is_whole(self.train_id, 0, 255), 'of 0..255'),
      ('category', _is_text(self.category), 'a text of printable characters'),
      (
        'colour',
        isinstance(self.colour, tuple)
        and len(self.colour) == 3
        and all(_is_whole(c, 0, 255) for c in self.colour),
        'three numbers of 0..255',
      ),
      ('has_instances', isinstance(self.has_instances, bool), 'true or false'),
    ):
      if not fits:
        value = repr(getattr(self, key))[:100]
        raise ValueError(f'`{key}` of a class (={value}) must be {words}.')


def _is_whole(value: object, low: int, high: int) -> bool:
  whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
  return whole and low <= value <= high


def _is_text(value: object) -> bool:
  """Whether it can be printed and written: no control character, no half of
  a pair of surrogates."""
  return isinstance(value, str) and not any(
    unicodedata.category(c) in ('Cc', 'Cs') for c in value
  )


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
  """What the rest of the code may know about a data set.

  Attributes:
    name: Name of the data set, for messages and summaries.
    labels: The class table, void classes included.
    how_to_get: One sentence for the error message when files are missing.

  Raises:
    ValueError: Ids that contradict each other.
  """

  name: str
  labels: tuple[Label, ...]
  how_to_get: str = ''

  def __post_init__(self):
    ids = [l.label_id for l in self.labels if l.label_id >= 0]
    counts = collections.Counter(ids)
    doubled = sorted(i for i in counts if counts[i] > 1)[:10]
    if doubled:
      raise ValueError(
        f'{self.name}: label ids {doubled} stand more than once in the class '
        'table; every label id must belong to one class.'
      )
    trained = sorted(
      {l.train_id for l in self.labels if l.train_id != IGNORE_LABEL}
    )
    if trained != list(range(len(trained))) or not trained:
      raise ValueError(
        f'{self.name}: train ids are {trained}; expected 0..K-1 without gaps.'
      )
    wide = [l for l in self.trained if not 0 <= l.label_id <= 255]
    if wide:
      raise ValueError(
        f'{self.name}: {wide[0].name!r} is trained and has the label id '
        f'{wide[0].label_id}; predictions are of 8 bits, expected 0..255.'
      )

  @functools.cached_property
  def trained(self) -> tuple[Label, ...]:
    """The first label of each train id, in the order of train ids."""
    first = {}
    for label in self.labels:
      if label.train_id != IGNORE_LABEL:
        first.setdefault(label.train_id, label)
    return tuple(first[i] for i in range(len(first)))

  @property
  def num_classes(self) -> int:
    return len(self.trained)

  @property
  def ignore_label(self) -> int:
    return IGNORE_LABEL

  @functools.cached_property
  def class_names(self) -> tuple[str, ...]:
    return tuple(l.name for l in self.trained)

  @functools.cached_property
  def palette(self) -> np.ndarray:
    """uint8[256, 3]: colour by train id; void and unused ids are black."""
    table = np.zeros((256, 3), np.uint8)
    for i, label in enumerate(self.trained):
      table[i] = label.colour
    return table

  @functools.cached_property
  def label_to_train(self) -> np.ndarray:
    """uint8[256]: train id by label id; what the table lacks is 255."""
    table = np.full(256, IGNORE_LABEL, np.uint8)
    for label in self.labels:
      if 0 <= label.label_id < 256:
        table[label.label_id] = label.train_id
    return table

  @functools.cached_property
  def train_to_label(self) -> np.ndarray:
    """uint8[256]: label id by train id; void (and unused ids) become 0."""
    table = np.zeros(256, np.uint8)
    for i, label in enumerate(self.trained):
      table[i] = label.label_id
    return table

  @functools.cached_property
  def categories(self) -> tuple[str, ...]:
    """Categories that hold a trained class, in order of first appearance."""
    return tuple(dict.fromkeys(l.category for l in self.trained))

  @functools.cached_property
  def train_to_category(self) -> np.ndarray:
    """int64[num_classes]: index into `categories` by train id."""
    index = {name: i for i, name in enumerate(self.categories)}
    return np.array([index[l.category] for l in self.trained])

  @functools.cached_property
  def instance_classes(self) -> tuple[int, ...]:
    """Train ids whose objects are told apart."""
    return tuple(i for i, l in enumerate(self.trained) if l.has_instances)

  def to_json(self) -> dict:
    """A plain dictionary that `from_json` takes back."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, tree: dict) -> 'DatasetInfo':
    """The table that `to_json` made a dictionary of.

    Raises:
      KeyError, TypeError: It is another kind of thing.
      ValueError: A value that can't be.
    """
    labels = tuple(
      Label(**{**row, 'colour': tuple(row['colour'])}) for row in tree['labels']
    )
    texts = tree['name'], tree.get('how_to_get', '')
    if not all(map(_is_text, texts)):
      raise TypeError('`name` and `how_to_get` must be texts')
    return cls(texts[0], labels, texts[1])
