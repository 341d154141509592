"""Makes cityscapes_scorer.json: figures of the official Cityscapes scorer.

In an environment of its own, since the scorer needs an older numpy:

    python -m venv /tmp/scorer
    /tmp/scorer/bin/pip install cityscapesscripts 'numpy<2.4'
    /tmp/scorer/bin/python tests/golden/cityscapes_scorer.py

The pictures are drawn from a seed by `pictures`, which the tests call too:
nothing but the figures is stored.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

# (label id, has instances) of what is drawn; 16 (tunnel) is ignored, 31
# (train) and 17 (pole) never appear, 27 (truck) is predicted only.
STUFF = (7, 8, 11, 13, 19, 20, 21, 22, 23, 16)
THINGS = (24, 25, 26, 28, 32, 33)


def pictures() -> list[dict[str, np.ndarray]]:
  """Six 48 x 64 pictures of rectangles; the same for ever.

  Returns:
    Dictionaries of `'label'` and `'pred'` (uint8, label ids; void is 0) and
    `'instance'` (int32, label id x 1000 + number, or the label id).
  """
  # Only `random_raw` of a bit generator is fixed over numpy's versions.
  bits = np.random.PCG64(20160601)

  def draw(low, high):
    return low + int(bits.random_raw() >> 33) % (high - low)

  def box(shape, smallest, largest):
    h, w = draw(smallest, largest), draw(smallest, largest)
    y, x = draw(0, shape[0] - h), draw(0, shape[1] - w)
    return slice(y, y + h), slice(x, x + w)

  result = []
  for _ in range(6):
    label = np.full((48, 64), STUFF[draw(0, len(STUFF))], np.uint8)
    for _ in range(8):
      label[box(label.shape, 6, 24)] = STUFF[draw(0, len(STUFF))]
    instance = label.astype(np.int32)
    for number in range(9):
      where, thing = box(label.shape, 3, 14), THINGS[draw(0, len(THINGS))]
      label[where] = thing
      # Every third is a group: its pixels carry the bare label id.
      instance[where] = thing if number % 3 == 2 else thing * 1000 + number
    # A caravan: an object of an ignored class. And unlabelled corners.
    where = box(label.shape, 4, 9)
    label[where], instance[where] = 29, 29000
    label[:3, :5] = instance[:3, :5] = 0

    pred = np.roll(label, (draw(0, 3), draw(0, 3)), (0, 1))
    for _ in range(7):
      choices = STUFF[:-1] + THINGS + (27, 0)
      pred[box(label.shape, 3, 12)] = choices[draw(0, len(choices))]
    # What a network with 19 classes can say; the rest is void.
    pred[np.isin(pred, (16, 29))] = 0
    result.append({'label': label, 'pred': pred, 'instance': instance})
  return result


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  out = pathlib.Path(__file__).with_suffix('.json')
  parser.add_argument('--out', type=pathlib.Path, default=out)
  options = parser.parse_args()

  from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling
  from PIL import Image

  args = evalPixelLevelSemanticLabeling.args
  args.JSONOutput, args.quiet = False, True
  with tempfile.TemporaryDirectory() as folder:
    truth, pred = [], []
    for i, picture in enumerate(pictures()):
      stem = f'{folder}/aachen_{i:06}_000019_gtFine_'
      Image.fromarray(picture['label']).save(f'{stem}labelIds.png')
      instance = picture['instance'].astype(np.uint16)
      Image.fromarray(instance).save(f'{stem}instanceIds.png')
      Image.fromarray(picture['pred']).save(f'{stem}pred.png')
      truth.append(f'{stem}labelIds.png')
      pred.append(f'{stem}pred.png')
    result = evalPixelLevelSemanticLabeling.evaluateImgLists(pred, truth, args)

  keys = [k for k in result if k.startswith(('average', 'class', 'category'))]
  clean = {k: _without_nan(result[k]) for k in sorted(keys)}
  clean['pixels'] = int(np.sum(result['confMatrix']))
  options.out.write_text(json.dumps(clean, indent=1) + '\n')
  json.dump({k: v for k, v in clean.items() if 'average' in k}, sys.stdout)


def _without_nan(scores):
  if isinstance(scores, dict):
    return {name: _without_nan(s) for name, s in scores.items()}
  return None if np.isnan(scores) else scores


if __name__ == '__main__':
  main()
