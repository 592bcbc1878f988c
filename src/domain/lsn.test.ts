import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatLsn, lsnOf, parseLsn } from './lsn.ts';

test('an LSN survives a round trip and compares by position', () => {
  assert.equal(formatLsn(parseLsn('16/B374D848')), '16/B374D848');
  assert.equal(formatLsn(lsnOf(0x16, 0xb374d848)), '16/B374D848');
  assert.ok(parseLsn('9/0') < parseLsn('10/0'));
});

test('what is not an LSN is refused', () => {
  assert.throws(() => parseLsn('nope'), /not an LSN: "nope"/);
  assert.throws(() => parseLsn('1/123456789'), /not an LSN/);
});
