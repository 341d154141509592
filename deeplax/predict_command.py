"""What launch/predict.py does: pictures, or videos."""

from collections.abc import Sequence
from typing import Any

from deeplax import cli, video_inputs
from deeplax.errors import RunError
from deeplax.predict import predict_run
from deeplax.predict_videos import predict_videos


def predict_command(
  workdir: str,
  inputs: Sequence[str],
  output: str | None,
  *,
  formats: Sequence[str] | None,
  view: str | None,
  fps: float | None,
  max_frames: int | None,
  **options: Any,
) -> int:
  """Predicts, and prints what became of it.

  Args:
    workdir: Of a run.
    inputs: Pictures; or videos, frames, cameras, see `video_inputs.plan`.
    output: Folder, or a video; default: `<workdir>/predictions`.
    formats: Of `predict.FORMATS`, for pictures; default: overlay.
    view, fps, max_frames: See `predict_videos`; for videos.
    **options: Of both.

  Returns:
    An exit code: 1 if something could not be used.

  Raises:
    RunError: See `predict_run` and `predict_videos`; or what is for the one was
      given with the other.
  """
  output = output or f'{workdir}/predictions'
  film = {'view': view, 'fps': fps, 'max_frames': max_frames}
  if video_inputs.wanted(inputs, output):
    if formats is not None:
      raise RunError(
        f'--format={",".join(formats)} is for pictures, and this makes a '
        'video: leave it out; --view says how videos look.'
      )
    problems = predict_videos(workdir, inputs, output, **film, **options)
    if problems:
      return cli.fail(f'{len(problems)} inputs or frames could not be used.', 1)
    return 0
  given = [f'--{name}' for name, value in film.items() if value is not None]
  if given:
    raise RunError(
      f'{", ".join(given)}: for videos; name one as --output, e.g. out.mp4.'
    )
  formats = ('overlay',) if formats is None else formats
  result = predict_run(workdir, inputs, output, formats=formats, **options)
  print(f'{len(result.written)} files written to {output}')
  print(result)
  if result.failed:
    return cli.fail(f'{len(result.failed)} pictures could not be used.', 1)
  return 0
