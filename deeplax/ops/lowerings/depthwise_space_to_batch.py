"""An atrous depthwise convolution as ordinary ones: see `space_to_batch`."""

from deeplax.ops.lowerings import space_to_batch
from deeplax.ops.lowerings.window import Window

APPLIES = (
  f'to depthwise kernels at rates 2 to {space_to_batch.LARGEST_RATE} and '
  'stride 1'
)
lower = space_to_batch.lower


def applies(window: Window) -> bool:
  """Whether the rate is moderate, the stride 1, and channels stay apart."""
  return space_to_batch.splits(window) and window.kind == 'depthwise'
