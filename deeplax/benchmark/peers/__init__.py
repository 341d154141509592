"""The same network in PyTorch: which, whether it is there, and its steps.

Importing this imports no PyTorch.
"""

import dataclasses
import importlib.util
from typing import Any

import ml_collections

from deeplax.errors import ConfigError, RunError
from deeplax.models import atrous

# Library -> the package that it is installed as, beside torch.
_PACKAGES = {
  'smp': ('segmentation_models_pytorch', 'segmentation-models-pytorch'),
  'torchvision': ('torchvision', 'torchvision'),
  'timm': ('timm', 'timm'),
}


@dataclasses.dataclass(frozen=True)
class Choice:
  """A network of a library.

  Attributes:
    library: `'smp'`, `'torchvision'` or `'timm'`.
    network: Name of the function or class that makes it.
    keys: Its keywords, but for the number of classes.
  """

  library: str
  network: str
  keys: dict[str, Any]

  def __str__(self) -> str:
    keys = ', '.join(f'{k}={v!r}' for k, v in self.keys.items())
    return f'{self.library} {self.network}({keys})'


def choose(library: str, model: ml_collections.ConfigDict) -> Choice:
  """The network of a library that a config's is to be compared with.

  Args:
    library: Key of `_PACKAGES`.
    model: `config.model`.

  Raises:
    ConfigError: It has none that is anything like it.
    RunError: PyTorch or the library is not installed.
  """
  choice = {'smp': _smp, 'torchvision': _torchvision, 'timm': _timm}[library](
    model
  )
  if choice is None:
    raise ConfigError(
      f'--peer={library} has no network like this one (encoder '
      f'{model.encoder} {model.variant}, head {model.head}, decoder '
      f'{model.decoder}). Take a config of configs/benchmark.py, or leave '
      '--peer out.'
    )
  package, name = _PACKAGES[library]
  for module, install in (('torch', 'torch'), (package, name)):
    if importlib.util.find_spec(module) is None:
      raise RunError(
        f'--peer={library} needs {module}, which is not installed: pip install '
        f'{install}, or leave --peer out.'
      )
  return choice


def build(library: str, subject: Any, *, training: bool):
  """The peer's steps, see `steps.Peer`."""
  from deeplax.benchmark.peers.steps import Peer

  choice = choose(library, subject.config.model)
  return Peer(choice, subject, training=training)


def _smp(model: ml_collections.ConfigDict) -> Choice | None:
  networks = {'v3plus': 'DeepLabV3Plus', 'none': 'DeepLabV3'}
  depth = model.variant.partition('_')[0]
  encoders = {
    'resnet': f'resnet{depth}',
    'mobilenet_v2': 'mobilenet_v2',
    'xception': f'tu-xception{model.variant}',
  }
  if model.head != 'aspp' or model.decoder not in networks:
    return None
  if model.encoder not in encoders:
    return None
  keys = dict(
    encoder_name=encoders[model.encoder],
    encoder_output_stride=model.output_stride,
    decoder_channels=model.head_channels,
    decoder_atrous_rates=atrous.scale_rates(
      model.atrous_rates, model.output_stride
    ),
    decoder_aspp_separable=model.head_separable,
    decoder_aspp_dropout=model.dropout,
  )
  return Choice('smp', networks[model.decoder], keys)


def _torchvision(model: ml_collections.ConfigDict) -> Choice | None:
  fits = (
    model.encoder == 'resnet'
    and model.variant in ('50', '101')
    and (model.head, model.decoder) == ('aspp', 'none')
  )
  if not fits:
    return None
  return Choice('torchvision', f'deeplabv3_resnet{model.variant}', {})


def _timm(model: ml_collections.ConfigDict) -> Choice | None:
  fits = (
    model.encoder == 'xception'
    and (model.head, model.decoder) == ('aspp', 'v3plus')
    and model.head_separable
    and model.decoder_separable
    and model.separable_inner_bn
  )
  if not fits:
    return None
  keys = dict(
    encoder=f'xception{model.variant}',
    output_stride=model.output_stride,
    rates=atrous.scale_rates(model.atrous_rates, model.output_stride),
    channels=model.head_channels,
    layers=model.decoder_layers,
    low_level_channels=model.low_level_channels,
    dropout=model.dropout,
    align_corners=model.align_corners,
  )
  return Choice('timm', 'V3PlusXception', keys)
