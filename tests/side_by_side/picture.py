"""Draws two trainings: their losses, and how far these are apart."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tests.side_by_side.curve import REFERENCES, Curve, difference, smooth


def draw(curves: dict[str, Curve], title: str) -> bytes:
  """A PNG of 900x350.

  Args:
    curves: All of `REFERENCES`, by name.
    title: Above it all.
  """
  figure = Figure(figsize=(9, 3.5), dpi=100, layout='constrained')
  figure.suptitle(title, fontsize=10)
  left, right = figure.subplots(1, 2)
  torch, deeplax = curves['PyTorch'], curves['deeplax']
  steps = np.arange(1, len(torch.losses) + 1)
  left.plot(steps, torch.losses, color='#f2a16b', linewidth=4, label='PyTorch')
  left.plot(
    steps, deeplax.losses, color='#1f3b73', linewidth=1, label='deeplax'
  )
  left.set(xlabel='step', ylabel='loss', title='loss of each batch')
  left.legend(frameon=False)
  for name, label, color in (
    ('nudged', 'PyTorch, weights changed by 1e-7', '#b0b0b0'),
    ('deeplax', 'deeplax', '#1f3b73'),
    ('deeplax64', 'deeplax, both in float64', '#2e8b57'),
  ):
    losses, expected = curves[name].losses, curves[REFERENCES[name]].losses
    apart = difference(losses, expected)
    smoothed = difference(smooth(losses), smooth(expected))
    right.semilogy(steps, apart, color=color, linewidth=0.6)
    right.semilogy(
      steps[-len(smoothed) :],
      smoothed,
      color=color,
      linewidth=2,
      label=label,
    )
  right.axhline(0.02, color='#c0392b', linewidth=0.8, linestyle='--')
  right.annotate('2 %', (len(steps) + 2, 0.018), color='#c0392b', fontsize=8)
  right.set(xlabel='step', title='apart from PyTorch; thick: means of 20 steps')
  right.legend(frameon=False, loc='lower right', fontsize=8)
  for axes in (left, right):
    axes.title.set_fontsize(9)
    axes.spines[['top', 'right']].set_visible(False)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  pixels = np.asarray(canvas.buffer_rgba())[..., :3]
  content = io.BytesIO()
  # A third of the bytes, and no colour that one would miss.
  Image.fromarray(pixels).quantize(64).save(content, 'PNG', optimize=True)
  return content.getvalue()
