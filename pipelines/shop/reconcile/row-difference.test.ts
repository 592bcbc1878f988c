import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowDifferences } from './row-difference.ts';

const ROW = {
  id: '7',
  total_amount: '12.50',
  city: null,
  name: '7',
  created_at: '2026-03-01 10:20:30.12',
};
const CACHED = {
  id: 7,
  total_amount: '12.50',
  city: null,
  name: '7',
  created_at: '2026-03-01T10:20:30.12Z',
};

test("a row cached as Debezium writes it equals PostgreSQL's text of it", () => {
  assert.deepEqual(rowDifferences('order:7', ROW, JSON.stringify(CACHED)), []);
});

test('the digits that a timestamp ends with make no difference', () => {
  for (const [text, iso] of [
    ['2026-03-01 10:20:30', '2026-03-01T10:20:30Z'],
    ['2026-03-01 10:20:30', '2026-03-01T10:20:30.000Z'],
    ['2026-03-01 10:20:30.1', '2026-03-01T10:20:30.100000Z'],
    ['2026-03-01 10:20:30.001', '2026-03-01T10:20:30.001Z'],
  ] as const)
    assert.deepEqual(rowDifferences('k', { at: text }, JSON.stringify({ at: iso })), []);
});

test('each column that differs is named', () => {
  const cached = {
    ...CACHED,
    total_amount: '12.5',
    city: 'Oslo',
    created_at: '2026-03-01T10:20:30Z',
  };
  assert.deepEqual(rowDifferences('order:7', ROW, JSON.stringify(cached)), [
    { name: 'order:7 total_amount', source: '12.50', store: '12.5' },
    { name: 'order:7 city', source: 'null', store: 'Oslo' },
    { name: 'order:7 created_at', source: '2026-03-01 10:20:30.12', store: '2026-03-01T10:20:30Z' },
  ]);
});

test('a column that was added or dropped since is not compared', () => {
  assert.deepEqual(rowDifferences('k', { id: '1', added: 'x' }, '{"id":1,"dropped":"y"}'), []);
});
