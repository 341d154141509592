"""Whole files to damage: made here, and real ones beside the checkout."""

import io
import itertools
import json
import pathlib
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from deeplax.data.datasets import camvid, cityscapes

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / 'shared'
_REAL = 12  # of a kind


def encoded(image: Image.Image, form: str, **options) -> bytes:
  stream = io.BytesIO()
  image.save(stream, form, **options)
  return stream.getvalue()


def _picture(mode: str, size=(41, 29)) -> Image.Image:
  rng = np.random.default_rng(0)
  rgb = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
  if mode == 'I;16':
    return Image.fromarray(rng.integers(0, 65536, size[::-1]).astype('uint16'))
  return rgb.convert(mode)


def pictures() -> list[tuple[str, bytes]]:
  """All formats and modes that are read, small, and photographs."""
  exif = Image.Exif()
  exif[0x0112] = 6
  modes = {
    'PNG': ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16'),
    'JPEG': ('L', 'RGB', 'CMYK'),
    'BMP': ('1', 'L', 'P', 'RGB', 'RGBA'),
    'WEBP': ('RGB', 'RGBA'),
    'TIFF': ('1', 'L', 'P', 'RGB', 'RGBA', 'I;16'),
  }
  found = [
    (f'{mode}.{form.lower()}', encoded(_picture(mode), form))
    for form, there in modes.items()
    for mode in there
  ]
  rgb = _picture('RGB')
  more = {
    'progressive.jpeg': ('JPEG', dict(progressive=True, exif=exif)),
    'exif.png': ('PNG', dict(exif=exif)),
    'exif.webp': ('WEBP', dict(exif=exif, lossless=True)),
    'lzw.tiff': ('TIFF', dict(compression='tiff_lzw')),
    'deflate.tiff': ('TIFF', dict(compression='tiff_adobe_deflate')),
    'jpeg.tiff': ('TIFF', dict(compression='jpeg')),
    'frames.png': (
      'PNG',
      dict(save_all=True, append_images=[rgb.rotate(90), rgb]),
    ),
  }
  for name, (form, options) in more.items():
    found.append((name, encoded(rgb, form, **options)))
  found.append(('interlaced.png', _interlaced()))
  return found + _real('data/*/JPEGImages/*.jpg', 'data/*/*/images/*')


def _interlaced() -> bytes:
  """Adam7, by hand: neither Pillow nor OpenCV writes it."""
  image = np.asarray(_picture('RGB'))
  rows = b''
  for top, left, down, right in (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
    (0, 1, 2, 2), (1, 0, 2, 1),
  ):  # fmt: skip
    rows += b''.join(b'\0' + r.tobytes() for r in image[top::down, left::right])
  head = struct.pack('>IIBBBBB', *image.shape[1::-1], 8, 2, 0, 0, 1)
  return png([(b'IHDR', head), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')])


def png(chunks) -> bytes:
  """A PNG of `(name, body)`, with correct lengths and checksums."""
  return b'\x89PNG\r\n\x1a\n' + b''.join(
    struct.pack('>I', len(body))
    + name
    + body
    + struct.pack('>I', zlib.crc32(name + body))
    for name, body in chunks
  )


def masks() -> list[tuple[str, bytes]]:
  """Of the classes of CamVid, void 255."""
  ids = np.random.default_rng(1).choice(np.arange(12, dtype=np.uint8), (29, 41))
  ids[:3] = 255
  palette = Image.fromarray(ids, 'P')
  palette.putpalette(list(range(256)) * 3)
  grey = Image.fromarray(ids)
  few = Image.fromarray(ids % 2 * 255).convert('1')
  found = [
    (f'{name}.{form.lower()}', encoded(image, form))
    for form in ('PNG', 'BMP', 'TIFF')
    for name, image in (('grey', grey), ('palette', palette), ('few', few))
  ]
  deep = Image.fromarray(ids.astype(np.uint16))
  found += [(f'deep.{f.lower()}', encoded(deep, f)) for f in ('PNG', 'TIFF')]
  return found + _real('data/camvid/*/labels/*.png')


def class_tables() -> list[tuple[str, bytes]]:
  full = {
    'names': ['a', 'b', 'c'],
    'palette': [[0, 0, 0], [1, 2, 3], [255, 0, 255]],
    'void_id': [255, 7, 1],
    'categories': ['x', 'x', 'y'],
    'void_name': 'nothing',
    'void_colour': [9, 9, 9],
  }
  trees = [['road', 'lawn'], full, {'names': ['a'], 'void_id': None}]
  found = [(f'{i}.json', json.dumps(t).encode()) for i, t in enumerate(trees)]
  return found + _real('data/*/classes.json')


def datasets() -> list[tuple[str, bytes]]:
  """dataset.json of a run."""
  return [
    (info.name, json.dumps(info.to_json()).encode())
    for info in (cityscapes.INFO, camvid.INFO)
  ]


def cameras() -> list[tuple[str, bytes]]:
  tree = {'extrinsic': {'baseline': 0.209313}, 'intrinsic': {'fx': 2262.52}}
  return [('camera.json', json.dumps(tree).encode())]


def lists() -> list[tuple[str, bytes]]:
  """A list of VOC's."""
  text = b'2007_000129\n2008_002536\n/JPEGImages/x.jpg /SegmentationClass/x.png'
  return [('train.txt', text), *_real('data/*/ids.txt')]


def specs() -> list[tuple[str, bytes]]:
  """Chains of operations."""
  texts = (
    'random_scale(0.5, 2.0) | random_crop(512, 1024) | random_flip()',
    'random_crop(h=5, w=7, max_class_fraction= .75 ) | photometric()',
    'class_crop(5, 7, 1)|paste_rare(.5, max_share=.1)|cutmix(probability=1)',
    'pad_to_multiple(16) | resize_image(8, 12)',
    'resize( 0x10 , 12 )',
    'pad_aligned(k=16)',
  )
  return [(str(i), text.encode()) for i, text in enumerate(texts)]


def safetensors() -> list[tuple[str, bytes]]:
  import ml_dtypes
  import safetensors.numpy as st

  rng = np.random.default_rng(0)
  arrays = {
    f'module.layer{i}.weight': rng.normal(size=(3, 4)).astype(kind)
    for i, kind in enumerate(('f4', 'f2', 'f8', 'i8', ml_dtypes.bfloat16))
  }
  return [
    ('a.safetensors', st.save(arrays)),
    ('b.safetensors', st.save(arrays, {'format': 'pt'})),
  ]


def torch_files() -> list[tuple[str, bytes]]:
  import torch

  weights = {
    'conv.weight': torch.ones(3, 4, 3, 3),
    'bn.num_batches_tracked': torch.tensor(3),
    'half': torch.ones(5).half(),
  }
  found = []
  for i, (tree, new) in enumerate(
    itertools.product(
      (weights, {'epoch': 3, 'state_dict': weights}), (True, False)
    )
  ):
    stream = io.BytesIO()
    torch.save(tree, stream, _use_new_zipfile_serialization=new)
    found.append((f'{i}.pth', stream.getvalue()))
  return found


def keras_files() -> list[tuple[str, bytes]]:
  """Of Keras 2 and 3 in form, with two layers each."""
  import h5py

  found = []
  kernel = np.ones((3, 3, 2, 4), np.float32)
  for packed in (False, True):
    stream = io.BytesIO()
    with h5py.File(stream, 'w') as h5:
      if packed:
        layer = h5.create_group('layers/conv/vars')
        layer.parent['vars'].attrs['name'] = 'Conv'
        layer['0'], layer['1'] = kernel, np.zeros(4, np.float32)
        h5['layers/conv'].attrs['name'] = 'Conv'
      else:
        h5['model_weights/Conv/Conv/kernel:0'] = kernel
        h5['model_weights/Conv_BN/Conv_BN/gamma:0'] = np.ones(4, np.float32)
    found.append((f'{packed}.weights.h5', stream.getvalue()))
  archive = io.BytesIO()
  with zipfile.ZipFile(archive, 'w') as file:
    file.writestr('config.json', '{}')
    file.writestr('model.weights.h5', found[1][1])
  return [*found, ('a.keras', archive.getvalue())]


SMALL_DEEPLAB = dict(
  encoder='mobilenet_v2',
  variant='0.25',
  output_stride=8,
  atrous_rates=(),
  head_channels=16,
  decoder='none',
  align_corners=True,
  input_norm='symmetric',
  encoder_bn_epsilon=1e-3,
)


def tflite_files() -> list[tuple[str, bytes]]:
  """Real ones, else a small one of TensorFlow's converter."""
  real = _real('weights/*.tflite')
  if real:
    return real
  import jax

  from deeplax import models
  from tests.pretrained import tf_mobilenet

  model = models.build(5, **SMALL_DEEPLAB)
  shapes = {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf.shape
    for path, leaf in jax.tree_util.tree_leaves_with_path(
      models.abstract_variables(model)
    )
  }
  weights = tf_mobilenet.Weights(shapes)

  def network(x):
    return tf_mobilenet.network(weights, x, strides=8, options=SMALL_DEEPLAB)

  return [('small.tflite', tf_mobilenet.convert(network, (65, 65)))]


def _real(*patterns: str) -> list[tuple[str, bytes]]:
  paths = [p for pattern in patterns for p in sorted(SHARED.glob(pattern))]
  paths = paths[:: max(1, len(paths) // _REAL)]
  return [(p.name, p.read_bytes()) for p in paths]
