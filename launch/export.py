"""Exports a run for other runtimes, and compares what they make of it.

python launch/export.py --workdir=runs/demo --format=stablehlo --size=96x192
python launch/export.py --workdir=runs/demo --format=tflite --size=96x192 --int8
Exit code 1 when the labels are not those that deeplax predicts.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from deeplax import cli, cli_flags

WORKDIR = flags.DEFINE_string('workdir', None, 'Of a run.')
FORMAT = flags.DEFINE_string(
  'format', None, 'stablehlo, saved_model, tflite or onnx.'
)
SIZE = cli_flags.define_size('size', 'Of the pictures that the file takes.')
OUTPUT = flags.DEFINE_string('output', None, 'Default: <workdir>/export.')
# As of `export_run`.
REST = (
  flags.DEFINE_bool('dynamic_batch', False, 'Any number of pictures at once.'),
  flags.DEFINE_bool('probs', False, 'Probabilities of all classes, too.'),
  flags.DEFINE_bool('int8', False, 'Quantised to 8 bits: tflite.'),
  flags.DEFINE_integer('step', None, 'Checkpoint. Default: the best one.'),
  flags.DEFINE_integer('output_stride', None, '8, 16 or 32.'),
  flags.DEFINE_multi_string(
    'pictures', [], 'To compare on: files, folders. Default: the eval_split.'
  ),
  flags.DEFINE_integer('max_pictures', 20, 'To compare on.', 1),
  flags.DEFINE_integer('calibration', 100, 'Training pictures for int8.', 1),
  flags.DEFINE_string('data_dir', None, "Default: the config's."),
)
flags.mark_flags_as_required(['workdir', 'format', 'size'])


def main(argv):
  del argv
  from deeplax.export.run import export_run

  export = export_run(
    WORKDIR.value,
    form=FORMAT.value,
    size=SIZE.value,
    output=OUTPUT.value,
    **{flag.name: flag.value for flag in REST},
  )
  print(export)
  if export.failed:
    return cli.fail(f'{len(export.failed)} pictures could not be used.', 1)


if __name__ == '__main__':
  cli.run(main, rehearsable=True)
