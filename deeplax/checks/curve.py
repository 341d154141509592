"""The curve of a learning-rate sweep as a picture."""

import io
from collections.abc import Sequence


def draw(
  rates: Sequence[float],
  losses: Sequence[float],
  smoothed: Sequence[float],
  suggested: float | None,
  given: float,
) -> bytes:
  """A PNG of loss over learning rate, with the suggested and the config's."""
  # Not pyplot: it keeps state and may look for a display.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(8, 5), dpi=100, layout='constrained')
  FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  axes.semilogx(rates, losses, '.', color='0.7', label='loss of a step')
  axes.semilogx(rates, smoothed, color='tab:blue', label='smoothed')
  axes.axvline(given, color='tab:orange', label=f'the config: {given:g}')
  if suggested is not None:
    axes.axvline(
      suggested, color='tab:green', ls='--', label=f'suggested: {suggested:g}'
    )
  # An explosion would press everything else flat.
  low, start = min(smoothed), max(smoothed[: len(smoothed) // 2 + 1])
  room = max(start - low, 1e-3 * abs(start))
  axes.set_ylim(low - 0.15 * room, start + 0.5 * room)
  axes.set_xlabel('learning rate')
  axes.set_ylabel('loss')
  axes.legend()
  axes.grid(alpha=0.3)
  file = io.BytesIO()
  figure.savefig(file, format='png')
  return file.getvalue()
