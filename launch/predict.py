"""Predicts pictures, videos and cameras with a trained run.

  python launch/predict.py --workdir=runs/r101 --input=photos --output=out
  python launch/predict.py --workdir=runs/r101 --format=label_id 'shots/*.png'
  python launch/predict.py --workdir=runs/r101 --input=dash.mp4 --output=out.mp4
  python launch/predict.py --workdir=runs/r101 --input=0 --view=side_by_side
Exit code 1 when an input could not be used; the others are written.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from deeplax import cli, cli_flags

WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
INPUT = flags.DEFINE_multi_string(
  'input', [], 'Files, folders, patterns, or 0, the camera; commas between '
  'them, or repeated.',
)  # fmt: skip
OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder, or video. Default: <workdir>/predictions.'
)
FORMAT = flags.DEFINE_list(
  'format', None, 'Overlay, or color,train_id,label_id,submission.'
)
VIEW = flags.DEFINE_string('view', None, 'Of videos: overlay, side_by_side.')
FPS = flags.DEFINE_float('fps', None, 'Frames a second of a video.')
MAX = flags.DEFINE_integer('max_frames', None, 'Only the first, of videos.', 1)
OPTIONS = cli_flags.define_prediction()
flags.mark_flag_as_required('workdir')


def main(argv):
  from deeplax.predict_command import predict_command

  return predict_command(
    WORKDIR.value,
    [*INPUT.value, *argv[1:]],
    OUTPUT.value,
    formats=FORMAT.value,
    view=VIEW.value,
    fps=FPS.value,
    max_frames=MAX.value,
    **OPTIONS(),
  )


if __name__ == '__main__':
  cli.run(main, positional=True, rehearsable=True)
