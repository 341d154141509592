"""Damage for files: of bytes, and of what certain formats are made of.

Every function takes `(data, rng)` and returns bytes; the same generator gives
the same damage.
"""

import io
import json
import struct
import zipfile
import zlib

import numpy as np

from tests.fuzz.seeds import png

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000,
            0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # fmt: skip
_VALUES = (
  None, True, False, 0, -1, 1, 255, 256, 65536, 2**31, 2**63, 10**30, 1.5,
  '', 'x', '\ud800', '\0', '../../x', 'é' * 300, [], {}, [[]], [None], [-1],
  [0, 0], [0, 1, 2], {'a': {}}, float('nan'), float('inf'), 1e308,
  'F64', 'BF16', 'I64',
)  # fmt: skip


def mutate(data: bytes, rng, other: bytes = b'', places=()) -> bytes:
  """Does one to three things to a file.

  Args:
    data: The file.
    rng: A `np.random.Generator`.
    other: Another file, for splices.
    places: Offsets where damage matters, such as those of tables; else it is
      done anywhere, half of it in the first 512 bytes.
  """
  for _ in range(rng.integers(1, 4)):
    if not data:
      break
    change = _BYTES[rng.integers(len(_BYTES))]
    data = change(data, rng, other, places)
  return data


def _at(data, rng, places=()):
  if len(places) and rng.random() < 0.8:
    place = int(places[rng.integers(len(places))]) + 4 * rng.integers(-4, 8)
    return int(min(max(place, 0), len(data) - 1))
  end = min(len(data), 512) if rng.random() < 0.5 else len(data)
  return int(rng.integers(end))


def _span(data, rng):
  start = _at(data, rng)
  longest = len(data) - start if rng.random() < 0.3 else 64
  return start, start + int(rng.integers(1, longest + 1))


def _flip(data, rng, _, places):
  result = bytearray(data)
  for _ in range(rng.integers(1, 9)):
    result[_at(data, rng, places)] ^= 1 << rng.integers(8)
  return bytes(result)


def _overwrite(data, rng, _, places):
  result = bytearray(data)
  start = _at(data, rng, places)
  count = int(rng.integers(1, 17))
  result[start : start + count] = rng.bytes(len(result[start : start + count]))
  return bytes(result)


def _number(data, rng, _, places):
  size = int(rng.choice([1, 2, 4, 8]))
  number = _NUMBERS[rng.integers(len(_NUMBERS))] % 256**size
  if rng.random() < 0.3:  # a little more or less than there is
    start = _at(data, rng, places)
    number = int.from_bytes(data[start : start + size], 'little')
    number = (number + int(rng.integers(-4, 5))) % 256**size
  else:
    start = _at(data, rng, places)
  order = 'little' if rng.random() < 0.5 else 'big'
  return data[:start] + number.to_bytes(size, order) + data[start + size :]


def _truncate(data, rng, *_):
  return data[: _at(data, rng)]


def _insert(data, rng, *_):
  at = _at(data, rng)
  return data[:at] + rng.bytes(int(rng.integers(1, 65))) + data[at:]


def _double(data, rng, *_):
  start, end = _span(data, rng)
  at = _at(data, rng)
  return data[:at] + data[start:end] + data[at:]


def _remove(data, rng, *_):
  start, end = _span(data, rng)
  return data[:start] + data[end:]


def _clear(data, rng, *_):
  start, end = _span(data, rng)
  end = min(end, len(data))
  return data[:start] + bytes(end - start) + data[end:]


def _splice(data, rng, other, _):
  return data[: _at(data, rng)] + other[_at(other, rng) :] if other else data


# Damage that leaves all else in its place is drawn more often.
_BYTES = (
  *3 * (_flip, _overwrite, _number),
  _truncate, _insert, _double, _remove, _clear, _splice,
)  # fmt: skip


def mutate_png(data: bytes, rng, other: bytes = b'') -> bytes:
  """Damage behind correct checksums: of a chunk, or of the order of chunks."""
  chunks = _chunks(data)
  n = int(rng.integers(len(chunks)))
  name, body = chunks[n]
  kind = rng.integers(5)
  if kind == 0:
    del chunks[n]
  elif kind == 1:
    theirs = _chunks(other) or chunks
    chunks.insert(n, theirs[rng.integers(len(theirs))])
  elif kind == 2 and name == b'IDAT':
    try:
      body = zlib.compress(mutate(zlib.decompress(body), rng))
    except zlib.error:
      body = mutate(body, rng)
    chunks[n] = name, body
  elif kind == 3:
    name = (b'iCCP', b'zTXt', b'eXIf', b'tRNS', b'PLTE', b'acTL', b'fcTL',
            b'fdAT', b'gAMA', b'cICP')[rng.integers(10)]  # fmt: skip
    chunks.insert(n, (name, mutate(body, rng) if body else rng.bytes(26)))
  else:
    chunks[n] = name, mutate(body, rng)
  return png(chunks)


def _chunks(data):
  found, at = [], 8
  while data[:4] == b'\x89PNG' and at + 8 <= len(data):
    (length,) = struct.unpack('>I', data[at : at + 4])
    found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
    at += length + 12
  return found


def mutate_json(data: bytes, rng, other: bytes = b'') -> bytes:
  """Other values, other types, lost and new entries; JSON still."""
  tree = json.loads(data)
  for _ in range(rng.integers(1, 4)):
    tree = _in_tree(tree, rng)
  text = json.dumps(tree)
  if rng.random() < 0.1:  # a key twice, which `dumps` can't
    text = text.replace('{', '{"name": 3, "names": [1], ', 1)
  return text.encode()


def _in_tree(tree, rng):
  """Changes one thing, anywhere below."""
  if not isinstance(tree, (list, dict)) or not tree or rng.random() < 0.1:
    return _value(rng)
  copy = tree.copy()
  keys = list(tree) if isinstance(tree, dict) else range(len(tree))
  key = keys[rng.integers(len(keys))]
  kind = rng.integers(8)
  if kind == 0:
    del copy[key]
  elif kind == 1 and isinstance(copy, dict):
    copy[str(_value(rng))] = copy[key]
  elif kind == 1:
    copy.insert(key, copy[key])
  elif kind == 2:
    copy[key] = _value(rng)
  else:
    copy[key] = _in_tree(copy[key], rng)
  return copy


def _value(rng):
  return _VALUES[rng.integers(len(_VALUES))]


def mutate_safetensors(data: bytes, rng, other: bytes = b'') -> bytes:
  """Another header, of correct length."""
  (length,) = struct.unpack('<Q', data[:8])
  head = mutate_json(data[8 : 8 + length], rng)
  return struct.pack('<Q', len(head)) + head + data[8 + length :]


def mutate_zip(data: bytes, rng, other: bytes = b'') -> bytes:
  """Damage to what is packed, under a correct checksum."""
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    content = {n: archive.read(n) for n in archive.namelist()}
  names = [*content]
  # What is small says what the rest is.
  small = [n for n in names if 0 < len(content[n]) < 20_000] or names
  name = small[rng.integers(len(small))]
  kind = rng.integers(6)
  if kind == 0:
    del content[name]
  elif kind == 1:
    content[names[rng.integers(len(names))]] = content[name]
  else:
    content[name] = mutate(content[name], rng)
  packing = zipfile.ZIP_DEFLATED if rng.random() < 0.2 else zipfile.ZIP_STORED
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, 'w', packing) as archive:
    for name, body in content.items():
      archive.writestr(name, body)
  return stream.getvalue()


def mutate_text(data: bytes, rng, other: bytes = b'') -> bytes:
  """Words of two texts in another order, and odd ones between."""
  words = [*data.decode().split(' '), *other.decode().split(' ')]
  odd = ('(' * 300, ')', '-', '1' * 5000, '0x' + 'f' * 5000, '|', '1e999',
         '\0', '\udc80', '[]', '{[]: 1}', '~', 'lambda: 0', '*a')  # fmt: skip
  for _ in range(rng.integers(1, 4)):
    words.insert(rng.integers(len(words) + 1), odd[rng.integers(len(odd))])
  count = int(rng.integers(1, len(words) + 1))
  start = int(rng.integers(len(words) - count + 1))
  text = (' ' if rng.random() < 0.5 else '').join(words[start : start + count])
  return text.encode(errors='surrogateescape')


def generator(name: str, seed: int, case: int) -> np.random.Generator:
  """The same numbers for the same case of the same reader, always."""
  return np.random.default_rng([zlib.crc32(name.encode()), seed, case])
