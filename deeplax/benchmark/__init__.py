"""How fast the parts are, on this machine; `launch/benchmark.py` calls it.

Each part is a module here or elsewhere with one function that measures it and
returns a dict of what was found and what it was measured on. Nothing is
imported before it is asked for: the device is measured without the input's
libraries, and the input without the device's.
"""

# `--what` -> the function that measures it. Its keywords are the flags that it
# takes; one that launch/benchmark.py does not have yet is a line there.
PARTS = {
  'train': 'deeplax.benchmark.train:benchmark_train',
  'eval': 'deeplax.benchmark.evaluation:benchmark_eval',
  'input': 'deeplax.benchmark.input:benchmark_input',
  'crf': 'deeplax.benchmark.crf:benchmark_crf',
  'ops': 'deeplax.benchmark.ops:benchmark_ops',
}
