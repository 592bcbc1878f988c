import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePastTime } from './past-time.ts';

const NOW_MS = Date.UTC(2026, 0, 31, 12);

test('a time is a date, in UTC unless it says otherwise, or so long ago', () => {
  const times = {
    now: 0,
    '-10m': -600_000,
    '-7d': -7 * 86_400_000,
    '2026-01-31': -12 * 3_600_000,
    '2026-01-31 11:59': -60_000,
    '2026-01-31T11:59:59.5Z': -500,
    '2026-01-31T12:59+01:00': -60_000,
    '2026-01-31 12:59+01': -60_000,
  };
  for (const [text, agoMs] of Object.entries(times))
    assert.equal(parsePastTime(text, NOW_MS) - NOW_MS, agoMs, text);
});

test('what is no time, or none that has passed, is refused', () => {
  for (const text of ['', 'yesterday', '2026-02-30', '2026-01-31 25:00', '10m', '--10m'])
    assert.throws(() => parsePastTime(text, NOW_MS), /Expected a (time|duration) such as/, text);
  assert.throws(
    () => parsePastTime('2026-01-31T12:00:01Z', NOW_MS),
    /a time that has passed; now it is 2026-01-31T12:00:00\.000Z/,
  );
});
