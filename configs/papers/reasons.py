"""Reasons that several recipes share."""

WEIGHTS = (
  "Others' weights are no part of this project: commands in the config's "
  'docstring make them and give `--config.init_from`. Without it all is fresh.'
)
STEPS_OF_SCALE = 'Scales are drawn from the whole range: there are no steps.'
