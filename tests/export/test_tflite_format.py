"""What TensorFlow Lite can have, and the words for what it can't."""

import jax.numpy as jnp
import numpy as np
import pytest

from deeplax.errors import RunError
from deeplax.export import formats
from deeplax.export.program import Program
from deeplax.ops import pool

SIZE = (17, 19)


@pytest.fixture(scope='module')
def tflite():
  try:
    return formats.find('tflite')
  except RunError as error:
    pytest.skip(str(error))


def averaged(image):
  """The average pooling of LargeFOV, V1's head."""
  image = image.astype(jnp.float32)
  scores = pool.average_pool(jnp.concatenate([image, 255 - image], -1))
  return {'labels': jnp.argmax(scores, -1).astype(jnp.uint8)}


def images():
  for seed in range(3):
    rng = np.random.default_rng(seed)
    yield rng.integers(0, 256, (1, *SIZE, 3)).astype(np.uint8)


def test_float(tflite, tmp_path):
  tflite.write(Program(averaged, SIZE), tmp_path / 'model')
  run = tflite.load(tmp_path / 'model')
  for image in images():
    found = run(image)['labels']
    np.testing.assert_array_equal(found, averaged(image)['labels'])
    assert len(np.unique(found)) == 6


def test_no_8_bits_is_one_paragraph(tflite, tmp_path, capfd):
  with pytest.raises(
    RunError, match=r'no form in 8 bits.*Leave out --int8'
  ) as e:
    tflite.write_int8(Program(averaged, SIZE), tmp_path / 'model', images)
  assert len(str(e.value)) < 500
  assert not [*tmp_path.iterdir()]
  # Nor does the converter tell its own story.
  assert len(capfd.readouterr().err) < 500


def test_no_form_is_one_paragraph(tflite, tmp_path, capfd):
  def compared(image):
    return {'labels': (image[..., 0] < 7).astype(jnp.uint8)}  # bytes

  with pytest.raises(RunError, match=r'no form of this network.*less'):
    tflite.write(Program(compared, SIZE), tmp_path / 'model')
  assert not [*tmp_path.iterdir()]
  assert len(capfd.readouterr().err) < 500
