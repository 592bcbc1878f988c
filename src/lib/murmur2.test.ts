import assert from 'node:assert/strict';
import { test } from 'node:test';
import { murmur2 } from './murmur2.ts';

/** From Kafka's own UtilsTest.testMurmur2. */
const KAFKAS_CASES = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
] as const;

test("murmur2 gives the hashes of Kafka's own test", () => {
  for (const [text, hash] of KAFKAS_CASES) assert.equal(murmur2(Buffer.from(text)), hash);
});

test('murmur2 hashes a part of a buffer as if it stood alone', () => {
  assert.equal(murmur2(Buffer.from('xxfoobaryy'), 2, 8), murmur2(Buffer.from('foobar')));
});
