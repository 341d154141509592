"""The networks against torchvision's and against plain PyTorch, run live.

PyTorch is not among the requirements: `pip install torch torchvision` into
the environment runs these. `test_golden.py` compares with stored figures, and
`tests/pretrained` with whole networks of other projects.
"""

import jax
import numpy as np
import pytest

from deeplax import losses, models
from deeplax.ops.resize import resize
from tests.models import torch_weights
from tests.models.torch_weights import picture

torch = pytest.importorskip('torch')
torchvision = pytest.importorskip('torchvision')

from tests.models import torch_networks  # noqa: E402

pytestmark = pytest.mark.peer

TOLERANCE = 1e-4
# Height, width, pictures: even and odd, and 41 features wide at stride 8, or
# the pyramid's rate of 36 would read nothing but padding.
SIZES = [(48, 64, 2), (33, 321, 1)]
DILATED = {
  32: (False, False, False),
  16: (False, False, True),
  8: (False, True, True),
}


def error(found, expected) -> float:
  """Largest difference, as a part of the largest value expected."""
  found, expected = np.asarray(found), expected.detach().numpy()
  assert found.shape == expected.shape
  assert found.dtype == expected.dtype
  scale = np.abs(expected).max()
  assert np.isfinite(scale) and scale > 0
  return float(np.abs(found - expected).max() / scale)


def check(what, found, expected, tolerance=TOLERANCE):
  worst = error(found, expected)
  print(f'{what}: {worst:.1e}')  # shown by pytest -rP
  assert worst <= tolerance, what


def channels_first(x):
  return np.moveaxis(np.asarray(x), -1, 1)


def count(variables) -> int:
  return sum(x.size for x in jax.tree.leaves(variables['params']))


def torch_count(module) -> int:
  return sum(p.numel() for p in module.parameters())


def pair(model, module, names, dtype='float32'):
  """The same weights for both; returns ours."""
  module.to(getattr(torch, dtype)).eval()
  given = torch_networks.load(module, seed=0)
  variables, used = torch_weights.ours(model, names, seed=0, dtype=dtype)
  assert used == given
  return variables


def at_picture_size(logits, image):
  return channels_first(resize(logits, image.shape[1:3]))


@pytest.mark.parametrize(
  'depth, output_stride',
  [('18', 32), ('34', 32)]
  + [(depth, stride) for depth in ('50', '101') for stride in DILATED],
)
def test_resnet_equals_torchvision(depth, output_stride):
  keys = {}
  if output_stride < 32:  # torchvision's basic units know no rates
    keys['replace_stride_with_dilation'] = DILATED[output_stride]
  module = getattr(torchvision.models, f'resnet{depth}')(**keys)
  module.fc = torch.nn.Identity()
  model = models.build(2, variant=depth, output_stride=output_stride)
  module.eval()
  given = torch_networks.load(module, seed=0)
  variables, used = torch_weights.ours(model, 'classifier', seed=0)
  assert used == given
  encoder = {name: tree['encoder'] for name, tree in variables.items()}
  assert count(encoder) == torch_count(module)
  for height, width, batch in SIZES:
    x = torch_networks.normalized(picture(height, width, batch))
    # Not jitted as a whole: equal layers then share what was compiled.
    found = model.encoder.apply(
      encoder, np.moveaxis(x.numpy(), 1, -1), train=False
    )
    with torch.no_grad():
      expected = torch_networks.stages(module, x)
    for i, features in enumerate(expected, start=1):
      name = f'stage{i}'
      check(f'{height}x{width} {name}', channels_first(found[name]), features)


def test_v3plus_equals_the_paper_in_pytorch():
  module = torch_networks.V3Plus(
    torchvision.models.resnet50(replace_stride_with_dilation=DILATED[16]),
    torchvision.models.segmentation.deeplabv3.ASPP(2048, [6, 12, 18]),
    low=256,
    classes=19,
  )
  model = models.build(19, variant='50', output_stride=16, decoder='v3plus')
  variables = pair(model, module, 'own')
  assert count(variables) == torch_count(module)
  for height, width, batch in SIZES:
    image = picture(height, width, batch)
    logits = model.apply(variables, image, train=False)[0]
    with torch.no_grad():
      expected = module(torch_networks.normalized(image))
    check(f'{height}x{width}', channels_first(logits), expected)


def course(depth, output_stride=16, **keys):
  """Ours; rates are given for 16, and the course has the same at 8."""
  rates = tuple(r * output_stride // 16 for r in (6, 12, 18))
  return models.build(
    20,
    variant=f'{depth}_course',
    output_stride=output_stride,
    atrous_rates=rates,
    head_bias=True,
    dropout=0.0,
    decoder='none',
    **keys,
  )


@pytest.mark.parametrize(
  'depth, output_stride, total',
  [
    ('18', 16, 15_315_028),
    ('18', 8, 15_315_028),
    ('34', 16, 25_423_188),
    ('50', 16, 39_049_812),
  ],
)
def test_course_network(depth, output_stride, total):
  module = torch_networks.Course(depth, output_stride=output_stride)
  model = course(depth, output_stride)
  variables = pair(model, module, 'own')
  assert count(variables) == torch_count(module) == total
  for height, width, batch in SIZES:
    image = picture(height, width, batch)
    logits = model.apply(variables, image, train=False)[0]
    with torch.no_grad():
      expected = module(torch_networks.normalized(image))
    check(f'{height}x{width}', at_picture_size(logits, image), expected)


def values_per_channel(module, x):
  """Number of values that each batch norm sees for one channel, by name."""
  result, hooks = {}, []
  for name, layer in module.named_modules():
    if isinstance(layer, torch.nn.BatchNorm2d):

      def note(layer, inputs, name=name):
        result[name] = inputs[0].numel() // inputs[0].shape[1]

      hooks.append(layer.register_forward_pre_hook(note))
  with torch.no_grad():
    module(x)
  for hook in hooks:
    hook.remove()
  return result


def test_gradients_and_running_statistics_in_float64():
  with jax.enable_x64(True):
    image = picture(48, 65, 2)
    label = picture(48, 65, 2)[..., 0] % 21
    label[label == 20] = 255
    model = course('18', dtype='float64')
    module = torch_networks.Course('18')
    variables = pair(model, module, 'own', 'float64')
    x = torch_networks.normalized(image, torch.float64)
    sizes = values_per_channel(module, x)
    before = {k: v.clone() for k, v in module.state_dict().items()}

    module.train()
    expected = torch.nn.functional.cross_entropy(
      module(x), torch.from_numpy(label).long(), ignore_index=255
    )
    expected.backward()

    @jax.jit
    def gradient(params, batch_stats):
      def loss(params):
        (logits, _), updates = model.apply(
          {'params': params, 'batch_stats': batch_stats},
          image,
          train=True,
          mutable=['batch_stats'],
        )
        logits = resize(logits, label.shape[1:])
        total, weight = losses.cross_entropy(logits, label)
        return total / weight, updates['batch_stats']

      return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, stats), grads = gradient(
      variables['params'], variables['batch_stats']
    )
    check('loss', loss, expected, 1e-12)
    after = {name: p.grad for name, p in module.named_parameters()}
    largest = max(g.abs().max() for g in after.values())
    for name, g in module.state_dict().items():
      if name.endswith('running_mean'):
        after[name] = g
      elif name.endswith('running_var'):
        # PyTorch normalises with the variance divided by n, as we do, but
        # keeps that divided by n - 1.
        n = sizes[name.removesuffix('.running_var')]
        unbiased = (g - 0.9 * before[name]) / 0.1
        after[name] = 0.9 * before[name] + 0.1 * unbiased * (n - 1) / n
    worst = {'gradient': 0.0, 'statistics': 0.0}
    tree = {'params': grads, 'batch_stats': stats}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
      name = torch_weights.torch_name(
        '/'.join(key.key for key in path[1:]), 'own'
      )
      leaf, theirs = np.asarray(leaf), after.pop(name).numpy()
      if leaf.ndim == 4:
        leaf = leaf.transpose(3, 2, 0, 1)
      # A bias before batch norm has the gradient 0, up to rounding.
      floor = 1e-3 * float(largest) if path[0].key == 'params' else 0.0
      difference = np.abs(leaf - theirs).max()
      difference /= max(np.abs(theirs).max(), floor)
      kind = 'gradient' if path[0].key == 'params' else 'statistics'
      worst[kind] = max(worst[kind], float(difference))
    print(worst)
    assert not after
    assert max(worst.values()) < 1e-6
