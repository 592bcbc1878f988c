import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EqualFigures } from './equal-figures.ts';

test('figures whose names differ only in numbers are one line', () => {
  const figures = new EqualFigures();
  for (const name of ['revenue', 'product:1:sold', 'product:22:sold', 'product:3:seen'])
    figures.add({ kind: 'figure', name, source: '7', store: '7', equal: true });
  assert.deepEqual(figures.lines(), [
    'revenue: 7',
    'product:*:sold: 2 figures',
    'product:3:seen: 7',
  ]);
});
