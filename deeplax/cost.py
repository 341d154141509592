"""What one prediction costs on this device: time and memory."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from deeplax import inference, sharding


@dataclasses.dataclass(frozen=True)
class Cost:
  """Of a call.

  Attributes:
    milliseconds: Median of several calls, compilation apart.
    fastest, slowest: The extremes of these.
    memory: Bytes of arguments (weights among them), result and scratch on each
      device, as compiled; None where the backend does not tell.
    devices: That shared the work.
  """

  milliseconds: float
  fastest: float
  slowest: float
  memory: int | None
  devices: int = 1

  def __str__(self) -> str:
    words = f'{self.milliseconds:.1f} ms'
    if self.memory is not None:
      words += f', {self.memory / 2**20:.0f} MiB'
    return words


def predictor(
  model: Any, size: tuple[int, int], **options: Any
) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
  """A function `(variables, image) -> labels`, uint8[B, *size].

  Args:
    model: A module of `deeplax.models.build`.
    size: Height and width of the labels.
    **options: Of `inference.predict_labels`.
  """

  def predict(variables, image):
    image = sharding.cut(image)
    return inference.predict_labels(
      lambda x: model.apply(variables, x, train=False)[0],
      image,
      out_size=size,
      **options,
    )

  return predict


def measure(
  function: Callable[..., jax.Array],
  *arguments: Any,
  repeats: int = 5,
  mesh: Mesh | None = None,
) -> Cost:
  """Compiles a function, and calls it once to warm up and then `repeats` times.

  Args:
    function: Pure.
    *arguments: Trees of arrays; put on the default device before the first
      call, unless there is a mesh.
    repeats: Timed calls.
    mesh: On which the arguments lie already.
  """
  if mesh is None:
    arguments = jax.device_put(arguments, jax.local_devices()[0])
  compiled = jax.jit(function).lower(*arguments).compile()
  found = compiled.memory_analysis()
  memory = None
  if found is not None:
    memory = (
      found.argument_size_in_bytes
      + found.output_size_in_bytes
      + found.temp_size_in_bytes
    )
  jax.block_until_ready(compiled(*arguments))
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    times.append(1e3 * (time.perf_counter() - start))
  return Cost(
    statistics.median(times),
    min(times),
    max(times),
    memory,
    1 if mesh is None else mesh.size,
  )


def measure_picture(
  model: Any,
  variables: dict[str, Any],
  image: np.ndarray,
  size: tuple[int, int],
  *,
  repeats: int = 5,
  spatial: int = 1,
  **options: Any,
) -> Cost:
  """The cost of predicting one picture, uint8[H, W, 3], at label size.

  Its rows are split over the first `spatial` devices of this process.
  """
  mesh = sharding.make_mesh(1, spatial, jax.local_devices()[:spatial])
  return measure(
    predictor(model, size, **options),
    jax.device_put(variables, sharding.replicated(mesh)),
    sharding.put_batch({'image': image[None]}, mesh)['image'],
    repeats=repeats,
    mesh=mesh,
  )
