"""Recipes beside those they follow, as a table in Markdown."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from deeplax import config_files, recipe_summary

HEADING = """\
# Recipes beside those they follow

Printed by `python launch/describe.py --papers`. "ours" is derived from each
config, "theirs" stands in configs/papers. Rows that differ are marked !=, with
the reasons below the table.
"""
NOT_STATED = 'not stated'
NO_REASON = 'no reason is given in configs/papers'


def of_project() -> Iterator[str]:
  """The table of configs/papers and the configs named there."""
  papers = importlib.import_module('configs.papers')
  configs = config_files.load_all([*papers.PAPERS])
  return table(papers.PAPERS, configs, papers.PICTURES, papers.SOURCES)


def table(
  papers: Mapping[str, Mapping[str, Any]],
  configs: Mapping[str, ml_collections.ConfigDict],
  pictures: Mapping[tuple[str, str], int],
  sources: Mapping[str, str],
) -> Iterator[str]:
  """Yields the lines.

  Args:
    papers: By name of a config, see configs/papers.
    configs: By the same names.
    pictures: How many a split has, by data set and split.
    sources: What is cited, and what it is.
  """
  yield HEADING
  for name, paper in papers.items():
    yield from _block(name, paper, ours(configs[name], pictures))
  yield '## Sources'
  yield ''
  yield from (f'- {key}: {what}' for key, what in sources.items())


def ours(
  config: ml_collections.ConfigDict, pictures: Mapping[tuple[str, str], int]
) -> dict[str, str]:
  """The settings of a config in words."""
  split = config.dataset.name, config.dataset.train_split
  return recipe_summary.summarise(config, pictures[split])


def different(
  mine: Mapping[str, str], theirs: Mapping[str, Sequence[str]]
) -> list[str]:
  """Settings of which another value is stated."""
  return [
    key
    for key, value in mine.items()
    if key in theirs and theirs[key][0] != value
  ]


def _block(name, paper, mine):
  differ = different(mine, paper['theirs'])
  yield f'## {name}'
  yield ''
  yield paper['title']
  yield ''
  yield from (f'- {figure}' for figure in paper['published'])
  yield ''
  yield '| | setting | ours | theirs | source |'
  yield '|---|---|---|---|---|'
  for key, value in mine.items():
    stated, source = paper['theirs'].get(key, (NOT_STATED, ''))
    cells = ('!=' if key in differ else '', _words(key), value, stated, source)
    yield f'| {" | ".join(cells)} |'
  yield ''
  for key in differ:
    yield f'- {_words(key)}: {paper["reasons"].get(key, NO_REASON)}'
  yield ''


def _words(key):
  return key.replace('_', ' ')
