"""The model card of an export, in words: Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any


def markdown(card: dict[str, Any]) -> str:
  """What people want to know of `model_card.json`, which has all of it."""
  model, training = card['architecture'], card['training']
  parts = [
    f'# {card["name"]}, step {card["step"]}: {card["format"]}',
    f'Semantic segmentation: {model["name"]}, encoder {model["encoder"]} '
    f'{model["variant"]}, head {model["head"]}, decoder {model["decoder"]}, '
    f'output stride {model["output_stride"]}; '
    f'{model["parameters"]:,} parameters, trained on '
    f'{training["dataset"]["name"]} ({training["dataset"]["train_split"]}).',
    *card['limits'],
    '## Use',
    f'```python\n{card["use"]}\n```',
    _table(
      ('', 'name', 'dtype', 'shape', 'meaning'),
      [
        _port('input', card['input']['name'], card['input']),
        *(_port('output', k, v) for k, v in card['outputs'].items()),
      ],
    ),
    _preprocessing(card['preprocessing']),
    '## Compared with deeplax',
    _comparison(card['verification']),
  ]
  if card['quantisation']:
    parts += ['## 8 bits', _quantisation(card)]
  if card['evaluations']:
    parts += ['## Evaluation', _evaluations(card['evaluations'])]
  parts += [
    '## Classes',
    _table(
      ('id', 'name', 'id in the data', 'colour'),
      [
        (row['id'], row['name'], row['label_id'], _join(row['colour']))
        for row in card['classes']
      ],
    ),
    '## Training',
    f'{training["total_steps"]} steps of {training["batch_size"]} pictures, '
    f'`{training["input"]["train"]}`, {training["optimizer"]["name"]}, seed '
    f'{training["seed"]}. The whole config is in model_card.json.',
    '## Files',
    _table(
      ('name', 'bytes', 'SHA-256'),
      [(f['name'], f'{f["bytes"]:,}', f['sha256']) for f in card['files']],
    ),
    'Made with ' + _join(card['versions']) + '.',
  ]
  return '\n\n'.join(parts) + '\n'


def figures(card: dict[str, Any]) -> str:
  """What came of the comparison, in a few lines."""
  lines = [_comparison(card['verification'])]
  if card['quantisation']:
    lines.append(_quantisation(card))
  return '\n'.join(lines)


def _port(kind: str, name: str, port: dict[str, Any]) -> Sequence[Any]:
  shape = f'[{_join(port["shape"])}]'
  return kind, name, port['dtype'], shape, port['meaning']


def _preprocessing(steps: dict[str, Any]) -> str:
  words = ['All of this is inside:']
  if steps['resized_to']:
    words.append(
      'resized to {}x{}, and the scores back;'.format(*steps['resized_to'])
    )
  if steps['padded_by']:
    words.append(f'padded by {steps["padded_by"]};')
  words.append(
    f'less the mean ({_join(steps["mean"])}), by ({_join(steps["deviation"])}).'
  )
  return ' '.join(words)


def _comparison(found: dict[str, Any]) -> str:
  words = f'{found["runtime"]} on {found["source"]}: '
  if not found['pictures']:
    return f'{words}{found["problem"]}.'
  words += (
    f'{found["equal"]:.4%} of {found["pixels"]:,} pixels of '
    f'{found["pictures"]} pictures have the label that deeplax gives them; '
    f'fewest in one picture: {found["worst_equal"]:.4%}.'
  )
  return f'{words} FAILED: {found["problem"]}.' if found['problem'] else words


def _quantisation(card: dict[str, Any]) -> str:
  count = card['quantisation']['pictures']
  words = f'Ranges of {count} pictures of {card["quantisation"]["source"]}. '
  miou = card['verification']['miou']
  if not miou or None in miou.values():
    return words + 'What 8 bits cost in mIoU is not known: no labels.'
  cost = miou['deeplax'] - miou['exported']
  return words + (
    f'mIoU {miou["deeplax"]:.4f} in float, {miou["exported"]:.4f} in 8 bits, '
    f'on the same pictures: 8 bits cost {100 * cost:.2f} points.'
  )


def _evaluations(found: Sequence[dict[str, Any]]) -> str:
  rows = []
  for row in found:
    for key, value in row['scalars'].items():
      if key.endswith('/miou'):
        words = 'none' if value is None else f'{value:.4f}'
        rows.append((key, words, row['source']))
  return _table(('figure', 'value', 'from'), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  lines = [head, ['---'] * len(head), *rows]
  return '\n'.join(f'| {" | ".join(map(_cell, line))} |' for line in lines)


def _cell(value: Any) -> str:
  return str(value).replace('|', '\\|')


def _join(values: Iterable[Any]) -> str:
  return ', '.join(map(str, values))
