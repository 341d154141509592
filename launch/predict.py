"""Predicts pictures with a trained run.

  python launch/predict.py --workdir=runs/r101 --input=photos --output=out
  python launch/predict.py --workdir=runs/r101 --format=label_id 'shots/*.png'
Exit code 1 when a picture could not be used; the others are written.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from deeplax import cli, cli_flags

WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
INPUT = flags.DEFINE_multi_string(
  'input', [], 'Files, folders, patterns; commas between them, or repeated.'
)
OUTPUT = flags.DEFINE_string('output', None, 'Default: <workdir>/predictions.')
FORMAT = flags.DEFINE_list('format', 'overlay', 'Also color,train_id,label_id.')
STEP = flags.DEFINE_integer('step', None, 'Checkpoint. Default: the best one.')
STRIDE = flags.DEFINE_integer('output_stride', None, '8, 16 or 32.')
SCALES = cli_flags.define_numbers('scales', 'Image scales to average over.')
FLIP = flags.DEFINE_bool('flip', False, 'Average over mirror images, too.')
WINDOW = cli_flags.define_window()
FULL = flags.DEFINE_bool('full_size', False, 'Leave out resizes of input.eval.')
BATCH = flags.DEFINE_integer('batch_size', None, 'Pictures at once.', 1)
SPATIAL = cli_flags.define_spatial()
CRF = cli_flags.define_crf()
flags.mark_flag_as_required('workdir')


def main(argv):
  from deeplax.predict import predict_run

  output = OUTPUT.value or f'{WORKDIR.value}/predictions'
  inputs = [*INPUT.value, *argv[1:]]
  result = predict_run(
    *(WORKDIR.value, inputs, output),
    formats=FORMAT.value,
    step=STEP.value,
    output_stride=STRIDE.value,
    scales=SCALES.value or (1.0,),
    flip=FLIP.value,
    window=WINDOW.value or None,
    full_size=FULL.value,
    batch_size=BATCH.value,
    spatial=SPATIAL.value,
    **CRF(),
  )
  print(f'{len(result.written)} files written to {output}')
  print(result)
  if result.failed:
    return cli.fail(f'{len(result.failed)} pictures could not be used.', 1)


if __name__ == '__main__':
  cli.run(main, positional=True)
