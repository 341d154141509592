"""Small files that claim to be large ones: `(reader, name, content)` each."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.fuzz.seeds import encoded, png

_GREY, _RGB = 0, 2
_ZEROS = zlib.compress(bytes(10_000_000), 9)


def pictures():
  head = struct.pack('>IIBBBBB', 50_000, 50_000, 8, _RGB, 0, 0, 0)
  yield 'huge.png', png([(b'IHDR', head), (b'IDAT', _ZEROS), (b'IEND', b'')])
  yield 'huge.gif', b'GIF89a' + struct.pack('<HH', 65535, 65535) + bytes(100)
  jpeg = bytearray(encoded(Image.new('RGB', (8, 8)), 'JPEG'))
  at = jpeg.index(b'\xff\xc0')
  jpeg[at + 5 : at + 9] = b'\xff\xff\xff\xff'
  yield 'huge.jpg', bytes(jpeg)
  bmp = bytearray(encoded(Image.new('RGB', (8, 8)), 'BMP'))
  bmp[18:26] = struct.pack('<ii', 2**31 - 1, 2**31 - 1)
  yield 'huge.bmp', bytes(bmp)
  side = (16383).to_bytes(3, 'little')
  body = b'VP8X' + struct.pack('<I', 10) + b'\2\0\0\0' + side + side
  body += b'ANIM' + struct.pack('<I', 6) + bytes(6)
  yield 'huge.webp', b'RIFF' + struct.pack('<I', len(body) + 4) + b'WEBP' + body
  yield 'huge.tif', _tiff(60_000, 60_000, {})
  # A small picture of one tile that is none.
  tiles = {322: 2**31 - 16, 323: 2**31 - 16, 324: 8, 325: 100}
  yield 'tile.tif', _tiff(16, 16, tiles)
  yield 'strip.tif', _tiff(16, 16, {278: 2**32 - 1, 273: 8, 279: 2**32 - 1})
  yield 'samples.tif', _tiff(4096, 4096, {277: 65535, 273: 8, 279: 100})


def _tiff(width, height, more) -> bytes:
  tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1}
  tags |= {273: 8, 278: height, 279: 100} | more
  entries = b''.join(
    struct.pack('<HHII', tag, 4, 1, tags[tag]) for tag in sorted(tags)
  )
  head = b'II*\0' + struct.pack('<I', 120) + bytes(112)
  return head + struct.pack('<H', len(tags)) + entries + bytes(4)


def chunks():
  """PNGs whose pixels are few and whose other chunks unpack to much."""
  head = (b'IHDR', struct.pack('>IIBBBBB', 4, 4, 8, _GREY, 0, 0, 0))
  pixels = [(b'IDAT', zlib.compress(bytes(20))), (b'IEND', b'')]
  packer = zlib.compressobj(9)
  huge = b''.join(packer.compress(bytes(1 << 20)) for _ in range(300))
  huge += packer.flush()
  for name, chunk in (
    ('zTXt', (b'zTXt', b'Comment\0\0' + huge)),
    ('iTXt', (b'iTXt', b'Comment\0\1\0\0\0' + huge)),
    ('iCCP', (b'iCCP', b'profile\0\0' + huge)),
  ):
    yield f'{name}.png', png([head, chunk, *pixels])
    yield f'many-{name}.png', png([head, *[chunk] * 20, *pixels])
  # A length that reaches far beyond the file.
  whole = png([head, *pixels])
  yield 'length.png', whole[:33] + b'\x7f\xff\xff\xffIDAT' + whole[41:]


def weights():
  yield 'safetensors', 'length.safetensors', struct.pack('<Q', 2**63) + b'{}'
  for name, shape, end in (
    ('claims', [2**40], 2**42),
    ('shape', [2**31, 2**31, 2**31], 4),
    ('deep', [1] * 100_000, 4),
  ):
    entry = {'dtype': 'F32', 'shape': shape, 'data_offsets': [0, end]}
    head = json.dumps({'a': entry}).encode()
    content = struct.pack('<Q', len(head)) + head + bytes(4)
    yield 'safetensors', f'{name}.safetensors', content
  nested = b'{"a":' * 100_000
  content = struct.pack('<Q', len(nested)) + nested
  yield 'safetensors', 'nested.safetensors', content
  yield 'keras', 'bomb.keras', _packed('model.weights.h5')
  yield 'keras', 'claims.h5', _h5()
  yield 'torch', 'bomb.pth', _packed('archive/data.pkl')


def _packed(name) -> bytes:
  stream = io.BytesIO()
  with (
    zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive,
    archive.open(name, 'w') as file,
  ):
    for _ in range(300):
      file.write(bytes(1 << 20))
  return stream.getvalue()


def _h5() -> bytes:
  """An array of 4 TB, of which nothing is stored."""
  import h5py

  stream = io.BytesIO()
  with h5py.File(stream, 'w') as h5:
    h5.create_dataset('a/a/kernel:0', (10**12,), np.float32, chunks=(1024,))
  return stream.getvalue()


def overlapping_tflite() -> bytes:
  """Thousands of constants that are one and the same megabyte."""
  import flatbuffers
  import tflite

  b = flatbuffers.Builder(2 << 20)
  data = b.CreateByteVector(bytes(1 << 20))
  tflite.BufferStart(b)
  tflite.BufferAddData(b, data)
  buffer = tflite.BufferEnd(b)
  shape = b.CreateNumpyVector(np.array([1 << 20], np.int32))
  tensors = []
  for _ in range(4000):
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, tflite.TensorType.INT8)
    tflite.TensorAddBuffer(b, 0)
    tensors.append(tflite.TensorEnd(b))
  tflite.OperatorStart(b)
  operator = tflite.OperatorEnd(b)
  tflite.OperatorCodeStart(b)
  code = tflite.OperatorCodeEnd(b)
  vectors = []
  for parts in ([operator], tensors, [code], [buffer]):
    b.StartVector(4, len(parts), 4)
    for part in reversed(parts):
      b.PrependUOffsetTRelative(part)
    vectors.append(b.EndVector())
  tflite.SubGraphStart(b)
  tflite.SubGraphAddOperators(b, vectors[0])
  tflite.SubGraphAddTensors(b, vectors[1])
  graph = tflite.SubGraphEnd(b)
  b.StartVector(4, 1, 4)
  b.PrependUOffsetTRelative(graph)
  graphs = b.EndVector()
  tflite.ModelStart(b)
  tflite.ModelAddOperatorCodes(b, vectors[2])
  tflite.ModelAddSubgraphs(b, graphs)
  tflite.ModelAddBuffers(b, vectors[3])
  b.Finish(tflite.ModelEnd(b), b'TFL3')
  return bytes(b.Output())
