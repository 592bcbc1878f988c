import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatCount, formatDuration } from './units.ts';

test('bytes take the unit that keeps them below 1024', () => {
  assert.deepEqual([0, 1023, 1024, 1_500_000, 3 * 1024 ** 3].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.4 MiB',
    '3.0 GiB',
  ]);
});

test('counts are grouped by thousands', () => {
  assert.equal(formatCount(1_234_567), '1,234,567');
});

test('durations show two units at most', () => {
  assert.deepEqual(
    [0.83, 12.4, 999.6, 1234, 59_999, 184_000, 7_500_000, 360_000_000].map(formatDuration),
    ['0.8 ms', '12 ms', '1.0 s', '1.2 s', '1 min 0 s', '3 min 4 s', '2 h 5 min', '4 d 4 h'],
  );
});
