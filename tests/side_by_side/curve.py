"""What one side's training gives, and how two compare."""

import dataclasses

import numpy as np

SMOOTHED = 20  # steps
# Training -> with what it is compared. Those with 64 are in float64, `nudged`
# is PyTorch from weights that are changed a little.
REFERENCES = {
  'PyTorch': 'PyTorch',
  'deeplax': 'PyTorch',
  'nudged': 'PyTorch',
  'PyTorch64': 'PyTorch64',
  'deeplax64': 'PyTorch64',
}


@dataclasses.dataclass(frozen=True)
class Curve:
  """One training.

  Attributes:
    losses: float64[S], of the batch of each step, before it is learnt from.
    rates: float64[S], learning rates.
    miou: Over the classes of the split that was held out.
    val_loss: Over its pixels.
    seconds: Of the steps, first compilation included.
  """

  losses: np.ndarray
  rates: np.ndarray
  miou: float = float('nan')
  val_loss: float = float('nan')
  seconds: float = float('nan')

  def to_dict(self) -> dict[str, list[float] | float]:
    """For JSON."""
    return {
      name: value.tolist() if isinstance(value, np.ndarray) else value
      for name, value in dataclasses.asdict(self).items()
    }


def difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
  """float64[S]: of each step, as a part of what is expected."""
  return np.abs(found - expected) / np.abs(expected)


def smooth(losses: np.ndarray) -> np.ndarray:
  """Means of `SMOOTHED` steps in a row: float64[S - SMOOTHED + 1]."""
  return np.convolve(losses, np.full(SMOOTHED, 1 / SMOOTHED), 'valid')


def table(curves: dict[str, Curve]) -> str:
  """Figures of each training, and how far it is from its reference."""
  first = curves['PyTorch']
  rows = [['', *compare(first, first), 'miou', 'val_loss', 'seconds']]
  for name, found in curves.items():
    expected = curves[REFERENCES[name]]
    apart = [f'{x:.1e}' for x in compare(found, expected).values()]
    if found is expected:
      apart = ['-'] * len(apart)
    figures = [f'{found.miou:.4f}', f'{found.val_loss:.4f}']
    rows.append([name, *apart, *figures, f'{found.seconds:.0f}'])
  widths = [max(map(len, column)) for column in zip(*rows)]
  return '\n'.join(
    '  '.join(word.rjust(width) for word, width in zip(row, widths))
    for row in rows
  )


def compare(found: Curve, expected: Curve) -> dict[str, float]:
  """Relative differences: of the first step, the largest of five, ..."""
  single = difference(found.losses, expected.losses)
  smoothed = difference(smooth(found.losses), smooth(expected.losses))
  return {
    'first_step': float(single[0]),
    'first_5_steps': float(single[:5].max()),
    'worst_step': float(single.max()),
    'worst_mean_of_20': float(smoothed.max()),
    'mean_of_last_20': float(smoothed[-1]),
  }
