"""A run that is killed, stopped, starved and damaged, against an unbroken one.

python tests/soak.py --minutes=30 --seed=0

Trains a small network on files twice with the same command: once in peace, once
with a blow every few seconds until the time is over, and then to the end. A
blow is SIGKILL, SIGTERM, SIGTERM to the whole group, a picture that is cut off,
a full disk, or a flipped bit in the newest checkpoint. Then parameters, figures
and the loss of every step must be equal, bit for bit. One line says how it was.
"""

import argparse
import dataclasses
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from deeplax import checkpoint, summaries
from deeplax.cli import STOPPED
from deeplax.summaries import TIMINGS

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = """
import sys
sys.path.insert(0, {root!r})
from configs import common

def get_config():
  config = common.base()
  config.dataset.name = 'cityscapes'
  config.dataset.dir = {data!r}
  config.input.train = (
    'random_scale(0.5, 2.0)|random_crop(32, 64)|random_flip()|photometric()'
  )
  config.input.workers = 1
  config.model.encoder = 'mobilenet_v2'
  config.model.variant = '0.25'
  config.model.head_channels = 16
  config.model.atrous_rates = (2, 4, 6)
  config.model.low_level_channels = 8
  config.model.decoder_channels = 16
  config.batch_size = 4
  config.total_steps = {steps}
  config.log_every = 1
  config.eval_every = 200
  config.checkpoint_every = 20
  return config.lock()
"""
BLOWS = {
  'SIGKILL': 9,
  'SIGTERM': 5,
  'SIGTERM to the group': 2,
  'cut picture': 2,
  'full disk': 2,
  'flipped bit': 2,
}
PERIOD = (1, 18)  # seconds between a start and a blow
SPAN = 2000  # steps over which the growth of memory is measured


@dataclasses.dataclass
class Start:
  """One start of the command, in a group of its own."""

  command: list[str]
  log: pathlib.Path

  def __post_init__(self):
    self.at = time.monotonic()
    self.process = subprocess.Popen(
      self.command,
      stdout=subprocess.DEVNULL,
      stderr=self.log.open('w'),
      cwd=self.log.parent,
      start_new_session=True,
    )

  def resident(self) -> int:
    """Bytes of memory of the trainer and its workers."""
    pages = 0
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
      try:
        fields = path.read_text().rsplit(')', 1)[1].split()
      except (FileNotFoundError, ProcessLookupError):
        continue  # it ended while we looked
      if int(fields[3]) == self.process.pid:  # the session
        pages += int(fields[21])
    return pages * os.sysconf('SC_PAGE_SIZE')

  def end(self) -> tuple[int, str]:
    """Waits for the end; its exit code and what it said."""
    code = self.process.wait(timeout=600)
    return code, self.log.read_text()


def main():
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--minutes', type=float, default=30)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--steps', type=int, default=4000)
  options = parser.parse_args()
  with tempfile.TemporaryDirectory(prefix='soak-') as folder:
    soak(pathlib.Path(folder), options)


def soak(folder: pathlib.Path, options: argparse.Namespace) -> None:
  end = time.monotonic() + 60 * options.minutes
  dice = random.Random(options.seed)
  data = folder / 'data'
  subprocess.run(
    [sys.executable, str(ROOT / 'launch/prepare.py')]
    + ['--dataset=synthetic:48x96x32x7', '--splits=train,val']
    + ['--to=cityscapes', f'--output={data}'],
    check=True,
    stdout=subprocess.DEVNULL,
  )
  config = folder / 'soak_config.py'
  config.write_text(
    CONFIG.format(root=str(ROOT), data=str(data), steps=options.steps)
  )
  peaceful = folder / 'peaceful'
  growth, first, last = unbroken(command(config, peaceful), peaceful)
  print(f'unbroken: {options.steps} steps, memory {first} -> {last} bytes')
  with SmallDisk(folder / 'disk') as disk:
    beaten = disk / 'run'
    blows = Blows(command(config, beaten), beaten, data, dice, folder)
    while time.monotonic() < end and not blows.finished:
      blows.strike()
    blows.finish()
    drift, lost = compare(peaceful, beaten)
    counts = ', '.join(f'{n} {blow}' for blow, n in blows.counts.items() if n)
    print(
      f'soak: {blows.kills} kills survived, {sum(blows.counts.values())} blows '
      f'({counts}); {options.steps} steps, {drift} of drift; {lost} examples '
      f'lost or repeated; memory grew by {last - first} bytes '
      f'({100 * growth:.2f} %); going on took '
      f'{statistics.median(blows.resumed):.1f} s (median), at most '
      f'{max(blows.resumed):.1f} s; seed {options.seed}'
    )
  if drift or lost:
    sys.exit('the runs differ')


def command(config: pathlib.Path, workdir: pathlib.Path) -> list[str]:
  train = str(ROOT / 'launch/train.py')
  return [sys.executable, train, f'--config={config}', f'--workdir={workdir}']


def unbroken(command, workdir) -> tuple[float, int, int]:
  """Trains in peace; how much memory grew, and the bytes."""
  start = Start(command, workdir.with_suffix('.log'))
  sizes = {}
  while start.process.poll() is None:
    time.sleep(1)
    rows = lines(workdir)
    if size := start.resident():  # 0: it has just ended
      sizes[len(rows)] = size
  code, said = start.end()
  if code:
    sys.exit(f'the unbroken run ended with {code}:\n{said}')
  # Of the loop alone, when all is compiled and evaluated once: two windows of
  # an eighth of the steps, SPAN apart where the run is long enough.
  width = max(sizes) // 8
  span = min(SPAN, 6 * width)
  first, last = (
    int(statistics.median(s for n, s in sizes.items() if 0 <= n - at < width))
    for at in (width, width + span)
  )
  return last / first - 1, first, last


class Blows:
  """The beaten run: starts it, strikes, and looks at how it took that."""

  def __init__(self, command, workdir, data, dice, folder):
    self.command, self.workdir, self.dice = command, workdir, dice
    self.pictures = sorted((data / 'leftImg8bit/train').rglob('*.png'))
    self.folder = folder
    self.counts = dict.fromkeys(BLOWS, 0)
    self.resumed: list[float] = []
    self.finished = False

  @property
  def kills(self) -> int:
    return sum(n for blow, n in self.counts.items() if blow.startswith('SIG'))

  def strike(self) -> None:
    """Starts the command, and strikes a while later."""
    blow = self.dice.choices([*BLOWS], [*BLOWS.values()])[0]
    newest = self.newest()
    start = Start(self.command, self.folder / 'beaten.log')
    wait = self.dice.uniform(*PERIOD)
    while time.monotonic() < start.at + wait and start.process.poll() is None:
      time.sleep(0.05)
      self.look_for_resumption(start)
    if start.process.poll() is None:
      self.counts[blow] += 1
      getattr(self, blow.replace(' ', '_').lower())(start)
    else:
      self.check(start, (0,), '')
    now = len(lines(self.workdir))
    if now < newest and blow != 'flipped bit':
      sys.exit(f'{blow}: {now} rows are left, with a checkpoint of {newest}')

  def newest(self) -> int:
    """The step of the newest checkpoint, 0 if there is none."""
    there = (self.workdir / 'checkpoints').is_dir()
    return max([0, *(checkpoint.steps(self.workdir)[0] if there else [])])

  def look_for_resumption(self, start) -> None:
    """Notes how long it took to the first step after a start."""
    if getattr(start, 'noted', False):
      return
    if re.search(r'step \d+/\d+  loss', start.log.read_text()):
      start.noted = True
      self.resumed.append(time.monotonic() - start.at)

  def sigkill(self, start) -> None:
    start.process.kill()
    self.check(start, (-signal.SIGKILL,), '')

  def sigterm(self, start) -> None:
    start.process.terminate()
    self.check_stopped(start)

  def sigterm_to_the_group(self, start) -> None:
    os.killpg(start.process.pid, signal.SIGTERM)
    self.check_stopped(start)

  def check_stopped(self, start) -> None:
    # Before Python has come to our handler, the signal just ends it.
    self.check(start, (STOPPED, 0, -signal.SIGTERM), '')

  def cut_picture(self, start) -> None:
    picture = self.dice.choice(self.pictures)
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    self.check(start, (1, 0), picture.name)
    picture.write_bytes(whole)

  def full_disk(self, start) -> None:
    filler = self.workdir.parent / 'filler'
    try:
      with filler.open('wb', buffering=0) as file:
        while file.write(bytes(1 << 16)):
          pass
    except OSError:
      pass  # it is full
    self.check(start, (1, 0), 'disk or the quota is full')
    filler.unlink()

  def flipped_bit(self, start) -> None:
    start.process.kill()
    start.end()
    step = self.newest()
    if not step:
      return
    newest = self.workdir / f'checkpoints/{step}'
    files = sorted(p for p in newest.rglob('*') if p.is_file())
    path = self.dice.choice([p for p in files if p.stat().st_size])
    content = bytearray(path.read_bytes())
    content[self.dice.randrange(len(content))] ^= 1 << self.dice.randrange(8)
    path.write_bytes(content)
    again = Start(self.command, self.folder / 'beaten.log')
    words = f'step {step} is damaged'
    while again.process.poll() is None and words not in again.log.read_text():
      time.sleep(0.05)
    again.process.kill()
    self.check(again, (-signal.SIGKILL, 0), words, always=True)
    shutil.rmtree(newest.with_name(f'damaged-{newest.name}'))

  def check(self, start, codes, words, *, always=False) -> None:
    """Stops the soak where a start did not end as it should."""
    code, said = start.end()
    told = words in said or (code == 0 and not always)
    if code not in codes or not told or 'Traceback' in said:
      sys.exit(f'ended with {code}, expected {codes} and {words!r}:\n{said}')
    self.finished = self.finished or code == 0

  def finish(self) -> None:
    """Lets the run come to its end."""
    self.check(Start(self.command, self.folder / 'beaten.log'), (0,), '')


class SmallDisk:
  """A file system of its own that can be filled, where that is allowed."""

  def __init__(self, path: pathlib.Path, megabytes: int = 60):
    self.path, self.megabytes = path, megabytes

  def __enter__(self) -> pathlib.Path:
    self.path.mkdir()
    done = subprocess.run(
      ['mount', '-t', 'tmpfs', '-o', f'size={self.megabytes}m', 'tmpfs']
      + [str(self.path)],
      check=False,
      capture_output=True,
    )
    self.mounted = not done.returncode
    if not self.mounted:
      print('no disk of its own (mount needs root): the disk is never full')
      BLOWS['full disk'] = 0
    return self.path

  def __exit__(self, *_) -> None:
    if self.mounted:
      subprocess.run(['umount', '-l', str(self.path)], check=True)


def lines(workdir: pathlib.Path) -> list[str]:
  path = workdir / summaries.FILE
  return path.read_text().splitlines() if path.exists() else []


def compare(one: pathlib.Path, other: pathlib.Path) -> tuple[int, int]:
  """Steps whose figures differ, and examples of steps whose loss does."""
  import jax
  import numpy as np

  rows = [
    [{k: v for k, v in row.items() if k not in TIMINGS} for row in found]
    for found in (summaries.read(one), summaries.read(other))
  ]
  differing = {
    row['step'] for pair in zip(*rows) if pair[0] != pair[1] for row in pair
  }
  drift = len(differing) + abs(len(rows[0]) - len(rows[1]))
  (first, _), (second, _) = (
    checkpoint.load_variables(folder, best=False) for folder in (one, other)
  )
  same = jax.tree.map(lambda a, b: np.array_equal(a, b), first, second)
  if not all(jax.tree.leaves(same)):
    drift += 1
  losses = [
    {row['step']: row['train/loss'] for row in found if 'train/loss' in row}
    for found in rows
  ]
  lost = sum(
    4
    for step in {*losses[0], *losses[1]}
    if losses[0].get(step) != losses[1].get(step)
  )
  return drift, lost


if __name__ == '__main__':
  main()
