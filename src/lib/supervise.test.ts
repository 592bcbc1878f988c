import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';
import { supervise, type Supervised } from './supervise.ts';

/** Sleeps take no time, and are noted. */
function turnedClock(): Clock & { slept: number[] } {
  let nowMs = 0;
  const slept: number[] = [];
  return {
    slept,
    nowMs: () => nowMs,
    sleep: async (ms) => {
      slept.push(ms);
      nowMs += ms;
    },
  };
}

const retryOf = (error: unknown) => ((error as Error).message === 'away' ? 'auto' : 'never');
const random = () => 1;

describe('supervise', () => {
  test('tries again, later each time, what mends itself', async () => {
    const clock = turnedClock();
    const states: string[] = [];
    let runs = 0;
    const end = await supervise(
      'capture',
      async () => {
        if (++runs < 4) throw new Error('away');
      },
      {
        signal: new AbortController().signal,
        retryOf,
        clock,
        random,
        onState: (name, { state }) => states.push(`${name} ${state}`),
      },
    );
    assert.deepEqual(end, { state: 'stopped' });
    assert.deepEqual(clock.slept, [250, 500, 1000]);
    assert.deepEqual(states.slice(-3), ['capture waiting', 'capture running', 'capture stopped']);
  });

  test('leaves what does not mend itself failed, with its error', async () => {
    const states: Supervised[] = [];
    const error = new Error('a bug');
    const end = await supervise('capture', () => Promise.reject(error), {
      signal: new AbortController().signal,
      retryOf,
      clock: turnedClock(),
      random,
      onState: (_, state) => states.push(state),
    });
    assert.deepEqual(end, { state: 'failed', error });
    assert.deepEqual(states, [{ state: 'running' }, { state: 'failed', error }]);
  });

  test('ends while it waits when told to', async () => {
    const stop = new AbortController();
    const clock = turnedClock();
    const end = await supervise('capture', () => Promise.reject(new Error('away')), {
      signal: stop.signal,
      retryOf,
      clock,
      random,
      onState: (_, { state }) => state === 'waiting' && stop.abort(),
    });
    assert.deepEqual(end, { state: 'stopped' });
    assert.equal(clock.slept.length, 1);
  });

  test('counts from one again after a run that had recovered', async () => {
    const clock = turnedClock();
    let runs = 0;
    await supervise(
      'capture',
      async (signal) => {
        runs += 1;
        if (runs === 3) await clock.sleep(60_000, signal);
        if (runs < 5) throw new Error('away');
      },
      { signal: new AbortController().signal, retryOf, clock, random },
    );
    assert.deepEqual(clock.slept, [250, 500, 60_000, 250, 500]);
  });
});

test('the back-off doubles up to its bound, between half and all of it', () => {
  const backoff = { baseMs: 100, maxMs: 1000 };
  const at = (random: number) =>
    [1, 2, 3, 4, 5, 2000].map((n) => backoffMs(n, () => random, backoff));
  assert.deepEqual(at(1), [100, 200, 400, 800, 1000, 1000]);
  assert.deepEqual(at(0), [50, 100, 200, 400, 500, 500]);
});
