"""Converts weights of another project into a checkpoint.

  python launch/convert.py --source=timm --weights=resnet101c.safetensors \\
    --config=configs/r101.py --output=runs/r101_imagenet

Then: launch/train.py --config.init_from=runs/r101_imagenet, or, if all of the
network was in the file, launch/evaluate.py and launch/predict.py.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import config_flags

from deeplax import cli

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'The network that the weights are for, and its classes.'
)
SOURCE = flags.DEFINE_string(
  'source', None, 'torchvision, timm, smp, tf_deeplab, tflite or keras.'
)
WEIGHTS = flags.DEFINE_string('weights', None, 'The file.')
OUTPUT = flags.DEFINE_string('output', None, 'Folder to write to.')
REINIT = flags.DEFINE_bool(
  'reinit_logits', False, 'Start the last layer afresh if classes differ.'
)
flags.mark_flags_as_required(['config', 'source', 'weights', 'output'])


def main(argv):
  del argv
  from deeplax.convert import convert

  report = convert(
    CONFIG.value,
    SOURCE.value,
    WEIGHTS.value,
    OUTPUT.value,
    reinit_logits=REINIT.value,
  )
  print(report.summary())
  print(f'Written to {OUTPUT.value}; every tensor stands in conversion.txt')


if __name__ == '__main__':
  cli.run(main, rehearsable=True)
