"""What the curve of one batch means, in words, and the likely causes."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import ml_collections
import numpy as np

# Of the loss of guessing. What is left are edges, noisy ones and those finer
# than the network draws: on real masks it ends near an eighth, not at 0.
FITTED = 0.2  # enough steps
NEARLY = 0.35  # good enough after all steps
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 300)


@dataclasses.dataclass(frozen=True)
class Found:
  """How the training on one batch went.

  Attributes:
    losses: After each step.
    guess: The loss of guessing by the frequencies of classes.
    fits: Whether the loss ended below the fraction NEARLY of that.
    finite: Whether loss and gradient were numbers to the end.
    right: Share of labelled pixels that are right at the end, 0..1.
    void: Share of pixels without a label, 0..1.
  """

  losses: Sequence[float]
  guess: float
  fits: bool
  finite: bool
  right: float
  void: float


def report(
  found: Found, config: ml_collections.ConfigDict, picture: pathlib.Path
) -> Iterator[str]:
  """The curve in a few lines, the verdict, and causes if it is a bad one."""
  losses, guess = found.losses, found.guess
  yield (
    f'One batch of {config.batch_size}, fixed; dropout, weight decay, '
    f'smoothing and mining off; learning rate {config.schedule.peak:g}. '
    f'Guessing by the frequencies of classes costs {guess:.4f}.'
  )
  last = len(losses)
  for step in sorted({*(row for row in _ROWS if row < last), last}):
    loss = losses[step - 1]
    yield f'step {step:>4}  loss {loss:.4f}  {loss / guess:7.1%} of guessing'
  if found.fits:
    detail = '' if losses[-1] <= FITTED * guess else ', but for fine detail'
    yield (
      f'It fits{detail}: after {last} steps {found.right:.1%} of the labelled '
      'pixels are right. Network, loss and optimiser work together. Wrong '
      'masks can be learnt by heart, too: whether these are right, the picture '
      'shows.'
    )
  else:
    yield (
      f'It does NOT fit: after {last} steps {found.right:.1%} of the labelled '
      f'pixels are right, and the loss is not below {NEARLY:.0%} of guessing.'
    )
    yield 'Likely causes:'
    yield from (f'- {cause}' for cause in causes(found, config))
  yield f'Picture, label, prediction and errors: {picture}'


def nothing_to_learn(
  classes: int, looked: int, config: ml_collections.ConfigDict
) -> Iterator[str]:
  """The verdict where no batch has two classes."""
  what = (
    'not one pixel has a label: all are void (255)'
    if not classes
    else 'no batch has more than one class'
  )
  yield (
    f'It can NOT fit: in the first {looked} batches of {config.batch_size} '
    f'{what}, so that there is nothing to tell apart.'
  )
  yield 'Likely causes:'
  yield (
    '- `void_id` or the ids in the class table are not those of the masks: '
    'launch/prepare.py --check counts the pixels of each class'
  )
  yield (
    '- crops that miss all objects, or lie outside of small pictures '
    f'(input.train is {config.input.train!r}): launch/prepare.py --preview '
    'shows them'
  )


def causes(found: Found, config: ml_collections.ConfigDict) -> Iterator[str]:
  """Why a batch was not fitted, the likeliest first."""
  losses, peak = np.asarray(found.losses), config.schedule.peak
  model, optimizer = config.model, config.optimizer
  if not found.finite:
    yield (
      f'loss or gradient is not finite at step {len(losses)}: the learning '
      f'rate is too high; try --config.schedule.peak={peak / 10:g}, or '
      '--check=lr'
    )
    if model.dtype != 'float32':
      yield f'{model.dtype} is too coarse: try --config.model.dtype=float32'
    if config.init_from:
      yield (
        f'the weights of {config.init_from} are for another '
        f'model.input_norm than {model.input_norm!r}'
      )
    return
  end = float(np.median(losses[-max(len(losses) // 10, 1) :]))
  lowest = float(losses.min())
  falling = _is_falling(losses)
  if end > 1.1 * max(losses[0], found.guess) or end > 2 * lowest:
    yield (
      f'the learning rate is too high: the loss was {lowest:.4f} and rose to '
      f'{end:.4f}; try --config.schedule.peak={peak / 10:g}, or --check=lr'
    )
  elif falling:
    yield (
      'too few steps or a low learning rate: the loss is still falling; try '
      f'--config.schedule.peak={peak * 3:g}, or --check=lr'
    )
  if not falling and end > 0.8 * found.guess:
    yield (
      'labels that say nothing about their pictures (of other files, of '
      'another size, noise): the network learns how frequent classes are, and '
      'no more'
    )
    if end > 0.98 * losses[0]:
      yield (
        f'a learning rate too low to do anything: try '
        f'--config.schedule.peak={peak * 10:g}, or --check=lr'
      )
  elif not falling:
    yield (
      'labels that are shifted or turned against their pictures, or have '
      f'detail finer than output stride {model.output_stride} (with decoder '
      f'{model.decoder!r}) can draw: the errors in the picture tell'
    )
  if found.void > 0.5:
    yield f'{found.void:.0%} of the pixels are void (255) and do not count'
  if model.freeze_bn or model.freeze_encoder_bn:
    yield (
      'batch norm is frozen (model.freeze_bn, freeze_encoder_bn) at statistics '
      'that do not fit these pictures: try False'
    )
  if optimizer.encoder_lr_mult < 0.1:
    yield (
      f'optimizer.encoder_lr_mult (={optimizer.encoder_lr_mult}) keeps the '
      'encoder as it was'
    )
  if config.batch_size // optimizer.accumulate < 2:
    yield (
      'batch norm over one picture: use a batch of two or more, for each part '
      'of optimizer.accumulate'
    )


def _is_falling(losses: np.ndarray) -> bool:
  """Whether the last quarter is a tenth lower than the one before."""
  quarter = max(len(losses) // 4, 1)
  before, after = losses[-2 * quarter : -quarter], losses[-quarter:]
  return len(before) > 0 and np.median(after) < 0.9 * np.median(before)
