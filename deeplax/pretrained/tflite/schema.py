"""Numbers and tables of the `.tflite` format, by name."""

import tflite  # the flatbuffer's schema

# Numbers of the format -> names.
OPS = {v: k for k, v in vars(tflite.BuiltinOperator).items()
        if isinstance(v, int)}  # fmt: skip
TYPES = {v: k for k, v in vars(tflite.TensorType).items()
          if isinstance(v, int)}  # fmt: skip
ACTIVATIONS = {v: k for k, v in vars(tflite.ActivationFunctionType).items()
                if isinstance(v, int)}  # fmt: skip
DTYPES = {
  'FLOAT32': '<f4',
  'FLOAT16': '<f2',
  'FLOAT64': '<f8',
  'BFLOAT16': '<u2',
  'INT64': '<i8',
  'INT32': '<i4',
  'INT16': '<i2',
  'INT8': 'i1',
  'UINT8': 'u1',
  'UINT16': '<u2',
  'UINT32': '<u4',
  'BOOL': '?',
  'INT4': 'u1',  # two in a byte
}
_CONV = ('Padding', 'StrideH', 'StrideW', 'FusedActivationFunction')
# Operation -> table of its settings, and those that are read.
OPTIONS = {
  'CONV_2D': (
    'Conv2DOptions',
    (*_CONV, 'DilationHFactor', 'DilationWFactor'),
  ),
  'DEPTHWISE_CONV_2D': (
    'DepthwiseConv2DOptions',
    (*_CONV, 'DilationHFactor', 'DilationWFactor'),
  ),
  'AVERAGE_POOL_2D': ('Pool2DOptions', (*_CONV, 'FilterHeight', 'FilterWidth')),
  'FULLY_CONNECTED': (
    'FullyConnectedOptions',
    ('FusedActivationFunction', 'WeightsFormat'),
  ),
  'ADD': ('AddOptions', ('FusedActivationFunction',)),
  'SUB': ('SubOptions', ('FusedActivationFunction',)),
  'MUL': ('MulOptions', ('FusedActivationFunction',)),
  'DIV': ('DivOptions', ('FusedActivationFunction',)),
  'CONCATENATION': (
    'ConcatenationOptions',
    ('Axis', 'FusedActivationFunction'),
  ),
  'RESIZE_BILINEAR': (
    'ResizeBilinearOptions',
    ('AlignCorners', 'HalfPixelCenters'),
  ),
  'RESIZE_NEAREST_NEIGHBOR': (
    'ResizeNearestNeighborOptions',
    ('AlignCorners', 'HalfPixelCenters'),
  ),
}
