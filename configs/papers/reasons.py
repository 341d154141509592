"""Reasons that several recipes share."""

WEIGHTS = (
  "Others' weights are no part of this project: commands in the config's "
  'docstring make them and give `--config.init_from`. Without it all is fresh.'
)
STEPS_OF_SCALE = 'Scales are drawn from the whole range: there are no steps.'
DEPTHWISE = 'decay_mask tells kernels from vectors, not kinds of kernels.'
RESIZED = (
  'Open: no operation pads to a size. Resized, no pixel moves by more than '
  'one, but all are interpolated.'
)
