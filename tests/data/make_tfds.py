"""Builds tiny TFDS data sets; a script, so that tests need no tensorflow.

python make_tfds.py FOLDER
"""

import json
import pathlib
import sys

import numpy as np


def main(folder: str) -> None:
  import tensorflow_datasets as tfds

  features = tfds.features
  rng = np.random.default_rng(0)

  def mask(low, high, channels=1):
    ids = rng.integers(low, high, (8, 10, 1), np.uint8)
    return np.repeat(ids, channels, -1)

  def image(index):
    return np.full((8, 10, 3), [index, 100, 200], np.uint8)

  def build(name, version, keys, examples, file_format='array_record'):
    def info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        features=features.FeaturesDict(keys),
        disable_shuffling=True,
      )

    def generate(self):
      yield from enumerate(examples)

    members = {
      'VERSION': tfds.core.Version(version),
      '_info': info,
      '_generate_examples': generate,
      '_split_generators': lambda self, _: {'train': self._generate_examples()},
      '__module__': __name__,
    }
    builder = type(name, (tfds.core.GeneratorBasedBuilder,), members)(
      data_dir=folder, file_format=file_format
    )
    builder.download_and_prepare()
    return pathlib.Path(builder.data_path)

  grey = features.Image(shape=(None, None, 1))
  pet = {
    'image': features.Image(encoding_format='png'),
    'segmentation_mask': grey,
    'label': features.ClassLabel(num_classes=3),
    'file_name': features.Text(),
  }
  pets = [
    {
      'image': image(i),
      'segmentation_mask': mask(1, 4),
      'label': 1,
      'file_name': f'Abyssinian_{i}.jpg',
    }
    for i in range(4)
  ]
  build('OxfordIiitPet', '4.0.0', pet, pets)
  build('Sequential', '1.0.0', pet, pets, 'tfrecord')

  scene = {'image': features.Image(), 'annotation': features.Image()}
  scenes = [
    {'image': image(i), 'annotation': mask(0, 151, 3)} for i in range(2)
  ]
  build('SceneParse150', '1.0.0', scene, scenes)

  named = features.LabeledImage(labels=['x', 'y'], shape=(None, None, 1))
  parts = [{'image': image(i), 'parts': mask(0, 2)} for i in range(2)]
  build('Named', '1.0.0', {'image': features.Image(), 'parts': named}, parts)

  flat = [{'image': image(0), 'label': 1}]
  keys = {
    'image': features.Image(),
    'label': features.ClassLabel(num_classes=3),
  }
  build('Flat', '1.0.0', keys, flat)

  # As launch/prepare.py --to=tfds writes it: train ids, class table beside.
  own = {'image': features.Image(), 'label': grey, 'id': features.Text()}
  owns = [
    {'image': image(i), 'label': mask(0, 2) * (255 if i else 1), 'id': f'e/{i}'}
    for i in range(3)
  ]
  path = build('Own', '1.0.0', own, owns)
  table = {
    'name': 'own',
    'how_to_get': '',
    'labels': [
      dict(
        name=name,
        label_id=7 + i,
        train_id=i,
        category=name,
        colour=[i, i, i],
        has_instances=False,
      )
      for i, name in enumerate(['road', 'car'])
    ],
  }
  (path / 'deeplax_info.json').write_text(json.dumps(table))


if __name__ == '__main__':
  main(sys.argv[1])
