"""Data sets, one module each, found by their module's name.

A module has `source(split, data_dir)` and either `INFO`, or, where the classes
come with the data, `info(data_dir, argument)`. `source` may also take
`argument=` (what follows the colon in `'tfds:oxford_iiit_pet'`) and `extras=`
(names of further arrays to read, e.g. `('instance', 'disparity')`).
"""
