"""Class tables of TFDS data sets: where they lie, and some well-known ones."""

import os
from collections.abc import Sequence
from typing import Any

from deeplax.data import class_table, json_text
from deeplax.data.datasets import cityscapes
from deeplax.data.errors import DataError
from deeplax.data.info import IGNORE_LABEL, DatasetInfo, Label

# The official trimap has 1 = foreground, 2 = background, 3 = not classified (a
# border of a few pixels). As everywhere this set is used as a segmentation
# example the border is a class of its own, so that figures compare. For a
# border that doesn't count, give a classes.json with `"void_id": [0, 3]`.
OXFORD_IIIT_PET = DatasetInfo(
  'oxford_iiit_pet',
  (
    Label('pet', 1, 0, 'pet', (220, 20, 60)),
    Label('background', 2, 1, 'background', (70, 130, 180)),
    Label('border', 3, 2, 'border', (255, 255, 255)),
  ),
)

# The 150 classes of the MIT Scene Parsing challenge (ADE20K), by frequency: id
# 1..150; 0 is everything else. http://sceneparsing.csail.mit.edu
_SCENES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass,
cabinet, sidewalk, person, earth, door, table, mountain, plant, curtain, chair,
car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair,
seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box,
column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen
door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower,
book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel
chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
chandelier, awning, streetlight, booth, television receiver, airplane, dirt
track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet,
poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle,
oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake,
dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator,
glass, clock, flag
"""
_SCENE_NAMES = [' '.join(name.split()) for name in _SCENES.split(',')]

SCENE_PARSE150 = DatasetInfo(
  'scene_parse150',
  (
    Label('other', 0, IGNORE_LABEL, 'void', (0, 0, 0)),
    *(
      Label(name, i + 1, i, name, class_table.default_colour(i))
      for i, name in enumerate(_SCENE_NAMES)
    ),
  ),
)

TABLES = {
  'cityscapes': cityscapes.INFO,
  'oxford_iiit_pet': OXFORD_IIIT_PET,
  'scene_parse150': SCENE_PARSE150,
}


def find(builder: Any, data_dir: str) -> tuple[DatasetInfo, bool]:
  """The class table of a prepared builder, and if masks hold train ids already.

  Args:
    builder: A `tfds.core.DatasetBuilder`.
    data_dir: The folder above which no classes.json is looked for.

  Raises:
    DataError: There is none.
  """
  own = builder.data_path / 'deeplax_info.json'
  if own.exists():
    try:
      tree = json_text.parse(own.read_bytes())
      return DatasetInfo.from_json(tree), True
    except (KeyError, TypeError, ValueError) as error:
      raise DataError(
        f'not the class table of a data set ({error}).',
        fix='Prepare it again with launch/prepare.py --to=tfds.',
        file=own,
        kind='damaged file',
      ) from error
  path = os.path.abspath(builder.data_path)
  top = os.path.abspath(data_dir) if data_dir else path
  places = [path]
  while places[-1] != top and os.path.dirname(places[-1]).startswith(top):
    places.append(os.path.dirname(places[-1]))
  for place in places:
    given = os.path.join(place, 'classes.json')
    if os.path.exists(given):
      return class_table.read(given, builder.name), False
  if builder.name in TABLES:
    return TABLES[builder.name], False
  for feature in dict(builder.info.features).values():
    # A LabeledImage; a ClassLabel has names too, but the shape ().
    if getattr(feature, 'names', None) and len(feature.shape) == 3:
      return _named(builder.name, feature.names), False
  raise DataError(
    f'no class table for the TFDS data set {builder.name!r}.',
    fix='Write one (as for `folder`; a list of names will do) to '
    f'{os.path.join(os.path.dirname(path), "classes.json")}.',
    kind='class table',
  )


def _named(name: str, names: Sequence[str]) -> DatasetInfo:
  labels = [
    Label(n, i, i, n, class_table.default_colour(i))
    for i, n in enumerate(names)
  ]
  labels.append(Label('void', IGNORE_LABEL, IGNORE_LABEL, 'void', (0, 0, 0)))
  return DatasetInfo(name, tuple(labels))
