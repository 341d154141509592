"""Writes a TFDS data set in ArrayRecord, shard by shard, killed or not.

TFDS' own builders write everything in one go; here each shard is a piece of
work of its own (ArrayRecord's writer, then a rename), and TFDS adds its
metadata at the end. The result is an ordinary TFDS data set: the features
'image' (PNG), 'label' (PNG of train ids, 255 = void) and 'id', read with
`tfds.builder_from_directory(folder).as_data_source(split)`. Beside TFDS' files
lies deeplax_info.json, the class table.
"""

import io
import json
import os
import re

import cv2
import numpy as np
import tqdm

from deeplax import atomic
from deeplax.data.durable import (
  Journal,
  check_space,
  only_writer,
  to_json,
)
from deeplax.data.errors import DataError
from deeplax.data.identity import Identity, checked, identify
from deeplax.data.info import DatasetInfo

VERSION = '1.0.0'
_SHARD_BYTES = 1 << 27  # what TFDS' own builders aim at, roughly


def write_tfds(
  source,
  info: DatasetInfo,
  split: str,
  directory: str | os.PathLike,
  *,
  shard_bytes: int = _SHARD_BYTES,
) -> str:
  """Adds a split to the data set in `directory`/name/1.0.0.

  A second call goes on behind the last whole shard of a killed one; the files
  are the same byte for byte.

  Args:
    source: A `deeplax.data.Source`.
    info: Its class table.
    split: Name of the split.
    directory: Folder of data sets, TFDS' `data_dir`.
    shard_bytes: Size of a shard to aim at.

  Returns:
    The folder of the data set, with the version.

  Raises:
    DataError: The folder holds another source, the disk is full, or an example
      is bad.
  """
  name = re.sub('[^a-z0-9]+', '_', info.name.lower()).strip('_')
  name = name if name[:1].isalpha() else f'data_{name}'
  folder = os.path.join(directory, name, VERSION)
  finished = os.path.join(folder, f'.{split}.json')
  with only_writer(folder):
    identity = identify(source, info)
    table = os.path.join(folder, 'deeplax_info.json')
    _check_table(table, info)
    if os.path.exists(finished):
      with open(finished, 'rb') as file:
        found = json.load(file)['plan']
      if found['fingerprint'] != identity.fingerprint:
        raise DataError(
          f'its split {split} comes from another source '
          f'({found["length"]} pictures), expected {info.name} with '
          f'{identity.length}, or its pictures have changed.',
          fix='Choose another folder, or delete this one.',
          file=folder,
          kind='another data set',
        )
    else:
      atomic.write(table, to_json(info.to_json()))
      shards = _write_shards(source, folder, name, split, identity, shard_bytes)
      atomic.write(finished, to_json(shards))
    journal = _journal_path(folder, split)
    if os.path.exists(journal):
      os.remove(journal)
    _write_metadata(folder, name, info)
  return folder


def _journal_path(folder: str, split: str) -> str:
  return os.path.join(folder, f'.{split}.jsonl')


def _check_table(path: str, info: DatasetInfo):
  """All splits must share one class table."""
  if not os.path.exists(path):
    return
  with open(path, 'rb') as file:
    if file.read() == to_json(info.to_json()):
      return
  raise DataError(
    f'the data set there has another class table than {info.name}.',
    fix='Choose another folder, or delete this one.',
    file=path,
    kind='another data set',
  )


def _write_shards(
  source,
  folder: str,
  name: str,
  split: str,
  identity: Identity,
  shard_bytes: int,
) -> dict:
  """Writes what is missing; returns the plan, lengths and bytes."""
  from array_record.python import array_record_module

  encode = _encoder()
  total = identity.total([len(encode(e)) for e in identity.samples])
  count = max(1, min(identity.length, round(total / shard_bytes)))
  bounds = [identity.length * k // count for k in range(count + 1)]
  journal = Journal(
    _journal_path(folder, split), {**identity.plan, 'shards': count}
  )
  start = bounds[len(journal.done)]
  check_space(folder, total * (identity.length - start) // identity.length)
  bar = tqdm.tqdm(
    desc=split,
    total=identity.length,
    initial=start,
    unit=' pictures',
    disable=None,  # quiet where stderr is no terminal
  )
  with bar:
    for shard in range(len(journal.done), count):
      file = f'{name}-{split}.array_record-{shard:05d}-of-{count:05d}'
      part = os.path.join(folder, f'.{file}.part')
      writer = array_record_module.ArrayRecordWriter(part, 'group_size:1')
      size = 0
      try:
        for i in range(bounds[shard], bounds[shard + 1]):
          record = encode(checked(source[i], i))
          writer.write(record)
          size += len(record)
          bar.update()
      finally:
        writer.close()
      with open(part, 'rb') as stream:
        os.fsync(stream.fileno())
      atomic.publish(part, os.path.join(folder, file))
      journal.add([size])
  journal.close()
  return {
    'plan': identity.plan,
    'shard_bytes': journal.done,
    'shard_lengths': np.diff(bounds).tolist(),
  }


def _tfds():
  """TFDS, without TensorFlow's remarks about the machine."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  import tensorflow_datasets as tfds

  return tfds


def _features():
  tfds = _tfds()
  return tfds.features.FeaturesDict(
    {
      'image': tfds.features.Image(
        shape=(None, None, 3), encoding_format='png'
      ),
      'label': tfds.features.Image(
        shape=(None, None, 1), dtype=np.uint8, encoding_format='png'
      ),
      'id': tfds.features.Text(),
    }
  )


def _encoder():
  """A function from an example to the bytes of its tf.train.Example."""
  features = _features()
  from tensorflow_datasets.core import example_serializer

  serializer = example_serializer.ExampleSerializer(
    features.get_serialized_info()
  )

  def encode(example: dict) -> bytes:
    encoded = features.encode_example(
      {
        'image': io.BytesIO(_png(example['image'][..., ::-1])),
        'label': io.BytesIO(_png(example['label'])),
        'id': example['id'],
      }
    )
    # TFDS leaves the order of a protobuf map to chance.
    record = serializer.get_tf_example(encoded)
    return record.SerializeToString(deterministic=True)

  return encode


def _png(pixels: np.ndarray) -> bytes:
  done, data = cv2.imencode('.png', np.ascontiguousarray(pixels))
  if not done:
    raise ValueError(f'OpenCV refused to encode an array {pixels.shape}.')
  return data.tobytes()


def _write_metadata(folder: str, name: str, info: DatasetInfo):
  """dataset_info.json and features.json over all finished splits."""
  tfds = _tfds()
  infos = []
  for file in sorted(os.listdir(folder)):
    if not re.fullmatch(r'\.\w+\.json', file):
      continue
    with open(os.path.join(folder, file), 'rb') as stream:
      shards = json.load(stream)
    split = file[1:].removesuffix('.json')
    template = tfds.core.ShardedFileTemplate(
      data_dir=folder,
      dataset_name=name,
      split=split,
      filetype_suffix='array_record',
    )
    infos.append(
      tfds.core.SplitInfo(
        name=split,
        shard_lengths=shards['shard_lengths'],
        num_bytes=sum(shards['shard_bytes']),
        filename_template=template,
      )
    )
  tfds.folder_dataset.write_metadata(
    data_dir=folder,
    features=_features(),
    split_infos=infos,
    check_data=False,  # that reads with tf.data, which can't read ArrayRecord
    description=f'{info.name}: pictures and train ids (255 = void), written by '
    'deeplax.',
  )
