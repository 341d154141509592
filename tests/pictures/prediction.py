"""Draws the README's picture: what the demo's network makes of two scenes.

make demo && PYTHONPATH=. .venv/bin/python tests/pictures/prediction.py
"""

import pathlib

import cv2
import numpy as np

import deeplax
from deeplax import data, picture_files, visualize

SIZE = 288, 144


def enlarged(pixels, how=cv2.INTER_NEAREST):
  return cv2.resize(pixels, SIZE, interpolation=how)


def main():
  model = deeplax.load('runs/demo')
  scenes = data.source('synthetic:96x192', 'val')
  rows = [
    visualize.panel(
      enlarged(scenes[i]['image'], cv2.INTER_CUBIC),
      enlarged(scenes[i]['label']),
      enlarged(model(scenes[i]['image']).labels),
      model.palette,
    )
    for i in (2, 5)
  ]
  target = pathlib.Path(__file__).with_suffix('.png')
  picture_files.write_png(target, np.concatenate(rows))


if __name__ == '__main__':
  main()
