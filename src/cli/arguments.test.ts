import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration, parseInteger, parsePositiveInteger, parseStartPoint } from './arguments.ts';

test('a duration is a number and a unit', () => {
  assert.deepEqual(['500ms', '1.5s', '2m', '1h'].map(parseDuration), [500, 1500, 120_000, 3.6e6]);
  for (const bad of ['', '5', 's', '-1s', '5 s', '1d']) {
    assert.throws(() => parseDuration(bad), /Expected a duration/);
  }
});

test('a start point is a word, an offset or a time', () => {
  assert.equal(parseStartPoint('beginning'), 'beginning');
  assert.equal(parseStartPoint('end'), 'end');
  assert.deepEqual(parseStartPoint('42'), { offset: 42 });
  assert.deepEqual(parseStartPoint('2026-01-31T12:00:00Z'), {
    timestampMs: Date.UTC(2026, 0, 31, 12),
  });
  for (const bad of ['', 'start', '-1', '2026-99-99', '1e3']) {
    assert.throws(() => parseStartPoint(bad), /Expected beginning/);
  }
});

test('whole numbers are nothing else', () => {
  assert.equal(parseInteger('0'), 0);
  for (const bad of ['0', '-1', '1.5', 'x', '']) {
    assert.throws(() => parsePositiveInteger(bad), /whole number/);
  }
});
