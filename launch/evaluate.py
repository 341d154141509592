"""Evaluates a run's checkpoint, or each seed's, on a whole split.

python launch/evaluate.py --workdir=runs/r101 --output_stride=16,8 --flip
python launch/evaluate.py --workdir=runs/v1_vgg16 --crf
python launch/evaluate.py --compare runs/unet runs/v3_r50 runs/r101
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from deeplax import cli, cli_flags

WORKDIR = flags.DEFINE_string('workdir', None, 'Of a run, or of seeds.')
COMPARE = cli_flags.define_compare()
SPLIT = flags.DEFINE_string('split', None, "Default: the config's eval_split.")
STEP = flags.DEFINE_integer('step', None, 'Default: the best one.')
STRIDES = cli_flags.define_numbers(
  'output_stride', '8, 16, 32, or several.', kind=int
)
SCALES = cli_flags.define_numbers('scales', 'Image scales to average over.')
FLIP = flags.DEFINE_bool('flip', False, 'Average over mirror images, too.')
WINDOW = cli_flags.define_window()
DATA_DIR = flags.DEFINE_string('data_dir', None, "Default: the config's.")
BATCH = flags.DEFINE_integer('batch_size', None, 'Pictures at once.', 1)
MAX = flags.DEFINE_integer('max_pictures', None, 'Only the first.', 1)
WORKERS = flags.DEFINE_integer('workers', None, 'Processes that read.', 0)
SPATIAL = cli_flags.define_spatial()
CRF = cli_flags.define_crf()
SEARCH = flags.DEFINE_bool('crf_search', False, 'Try parameters of the CRF.')
PROCESSES = cli_flags.define_distributed()


def main(argv):
  runs, output = COMPARE(argv[1:])
  from deeplax import report
  from deeplax.crf_search import crf_search
  from deeplax.evaluate_seeds import evaluate

  if runs:
    return report.compare(runs, output)
  same = (SPLIT, STEP, FLIP, DATA_DIR, MAX, WORKERS)
  options = {flag.name: flag.value for flag in same} | CRF()
  options.update(
    output_strides=STRIDES.value,
    scales=SCALES.value or (1.0,),
    window=WINDOW.value or None,
  )
  if SEARCH.value:
    crf_search(WORKDIR.value, **options)
  else:
    options.update(batch_size=BATCH.value, spatial=SPATIAL.value)
    return evaluate(WORKDIR.value, **options)


if __name__ == '__main__':
  cli.run(main, positional=True, processes=PROCESSES, rehearsable=True)
