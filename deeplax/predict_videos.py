"""Predicts videos, cameras and folders of frames with a trained run."""

import logging
import os
import pathlib
from collections.abc import Sequence

from deeplax import dry_run, picture_paths, run_predictor, video_inputs
from deeplax.data import DataError
from deeplax.errors import RunError
from deeplax.video import Filmed, film
from deeplax.video_files import MOST_FPS
from deeplax.video_view import VIEWS

log = logging.getLogger('deeplax')


def predict_videos(
  workdir: str | os.PathLike,
  inputs: Sequence[str],
  output: str | os.PathLike,
  *,
  view: str | None = None,
  fps: float | None = None,
  max_frames: int | None = None,
  batch_size: int | None = None,
  **options,
) -> list[str]:
  """Predicts one video after another, and prints what came of each.

  Args:
    workdir: Of a run.
    inputs, output: See `video_inputs.plan`.
    view: Of `video_view.VIEWS`; default: the first.
    fps: Frames a second of the results. Default: as many as the input has, 20
      for pictures.
    max_frames: Of each input; default: all.
    batch_size: See `video.film`.
    **options: See `run_predictor.load`.

  Returns:
    What could not be used, in words; the rest is done.

  Raises:
    RunError: No run, nothing to predict, or an option that can't be.
    KeyboardInterrupt: Ctrl-C; the frames done until then are in the video.
  """
  view = view or VIEWS[0]
  if view not in VIEWS:
    raise RunError(f'--view={view}: expected one of {", ".join(VIEWS)}.')
  if fps is not None and not 0 < fps <= MOST_FPS:
    raise RunError(
      f'--fps={fps:g}: expected a number above 0, up to {MOST_FPS}.'
    )
  for name, value in (('max_frames', max_frames), ('batch_size', batch_size)):
    if value is not None and value < 1:
      raise RunError(f'{name} (={value}) must be 1 or more.')
  takes = video_inputs.plan(inputs, output)
  predictor, info, _ = run_predictor.load(workdir, **options)
  dry_run.ends_here(
    lambda: '\n'.join(f'{take.name} -> {take.target}' for take in takes)
  )
  picture_paths.make(pathlib.Path(takes[0].target).parent)
  problems = []
  for take in takes:
    try:
      clip = take.open()
      if clip.live:
        log.info('%s: Ctrl-C ends it.', clip.name)
      filmed = film(
        *(predictor, clip, take.target, info),
        view=view,
        fps=fps,
        max_frames=max_frames,
        batch_size=batch_size,
      )
    except (DataError, RunError) as error:
      log.error('skipped: %s', error)
      problems.append(str(error))
      continue
    problems += filmed.problems
    print(filmed, flush=True)
    _go_on(filmed, clip.count)
  return problems


def _go_on(filmed: Filmed, count: int | None):
  if filmed.signal is None:
    return
  of = f' of about {count}' if count else ''
  log.error(
    'stopped after %d frames%s%s.',
    filmed.frames,
    of,
    '; the video ends there, and plays' if filmed.frames else '',
  )
  raise KeyboardInterrupt(filmed.signal)
