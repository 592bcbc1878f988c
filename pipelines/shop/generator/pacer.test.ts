import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pacer } from './pacer.ts';

const NEVER = new AbortController().signal;

test('without a rate nothing waits', async () => {
  const pacer = new Pacer(undefined);
  for (let rows = 0; rows < 1000; rows += 1) await pacer.pass(1000, NEVER);
  assert.equal(pacer.isBehind, false);
});

test('rows wait for those before them', async () => {
  const pacer = new Pacer(10_000);
  const startMs = performance.now();
  for (let passes = 0; passes < 4; passes += 1) await pacer.pass(100, NEVER);
  assert.ok(performance.now() - startMs >= 29);
});

test('who comes late catches up a little, and lets the rest go', async () => {
  let nowMs = 0;
  const pacer = new Pacer(1000, () => nowMs);
  nowMs = 60_000;
  assert.equal(pacer.isBehind, true);
  await pacer.pass(250, NEVER);
  assert.equal(pacer.isBehind, false, 'a minute is behind, a quarter of a second is made good');
});

test('waiting ends when told', async () => {
  const pacer = new Pacer(1);
  await pacer.pass(1000, NEVER);
  await assert.rejects(pacer.pass(1, AbortSignal.abort()), { name: 'AbortError' });
});
