"""What the papers prescribe, or the code that a config says it follows.

Data alone: no config, nothing to train. `python launch/describe.py --papers`
lays it beside the configs; configs/PAPERS.md is what it prints.

`PAPERS` has an entry for each config, named as in `--configs=`:

- `title`: The network, and whose recipe it is.
- `published`: Figures, each with its source.
- `theirs`: {setting: (value, source)} in the words of deeplax.recipe_summary.
  What nobody states isn't there. A source is a key of `SOURCES`, then a
  section or a remark; several are parted by `; `.
- `reasons`: {setting: why ours is another}. Those that begin with "Open:" are
  no choice: they came to light with this table.
"""

from configs.papers import caffe, course, mmseg, tf_deeplab, unet
from configs.papers.sources import SOURCES

__all__ = ['PAPERS', 'PICTURES', 'SOURCES']

# Pictures of the official splits: V3 4 and C.
PICTURES = {
  ('cityscapes', 'train'): 2_975,
  ('voc', 'train'): 1_464,
  ('voc', 'trainaug'): 10_582,
}
PAPERS = {
  **mmseg.PAPERS,
  **tf_deeplab.PAPERS,
  **caffe.PAPERS,
  **unet.PAPERS,
  **course.PAPERS,
}
