import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Clock } from '../../lib/clock.ts';
import { BatchRunner, type RunOutcome } from './batch-runner.ts';

const GOOD: RunOutcome = {
  runId: 'a',
  startedAtMs: 0,
  seconds: 1,
  models: 2,
  failedModels: [],
  warnings: 0,
  errors: 0,
};

/** Sleeping passes the time at once. */
function turnedClock(): Clock & { slept: number[]; pass(ms: number): void } {
  let nowMs = 0;
  const slept: number[] = [];
  return {
    slept,
    nowMs: () => nowMs,
    pass: (ms) => void (nowMs += ms),
    sleep: async (ms) => {
      slept.push(ms);
      nowMs += ms;
    },
  };
}

describe('BatchRunner', () => {
  test('runs from start to start of the interval, and at once after a run that took longer', async () => {
    const clock = turnedClock();
    const stop = new AbortController();
    const took = [10_000, 70_000, 1_000];
    const starts: number[] = [];
    const runner = new BatchRunner({
      intervalMs: 60_000,
      clock,
      runOnce: async () => {
        starts.push(clock.nowMs());
        clock.pass(took[starts.length - 1] ?? 0);
        if (starts.length === took.length) stop.abort();
        return GOOD;
      },
    });
    await runner.run(stop.signal);
    assert.deepEqual(starts, [0, 60_000, 130_000]);
    assert.equal(clock.slept[0], 50_000);
    assert.equal(runner.status().state, 'stopped');
  });

  test('goes on after a run that failed, and tells of it until one does not', async () => {
    const stop = new AbortController();
    const told: (string | undefined)[] = [];
    const outcomes = [
      () => Promise.reject(new Error('the lake is away')),
      () => Promise.resolve({ ...GOOD, failedModels: ['orders'] }),
      () => Promise.resolve(GOOD),
    ];
    const runner = new BatchRunner({
      intervalMs: 1000,
      clock: turnedClock(),
      runOnce: async () => {
        const next = outcomes.shift();
        told.push(runner.status().problem);
        if (outcomes.length === 0) stop.abort();
        return next?.() ?? GOOD;
      },
    });
    await runner.run(stop.signal);
    const { runs, failed, problem, last } = runner.status();
    assert.deepEqual(told, [undefined, 'the lake is away', undefined]);
    assert.deepEqual({ runs, failed, problem }, { runs: 3, failed: 2, problem: undefined });
    assert.deepEqual(last, GOOD);
  });

  test('runs nothing before it is ready, and ends when it is stopped while it waits', async () => {
    const stop = new AbortController();
    const runner = new BatchRunner({
      intervalMs: 1000,
      clock: turnedClock(),
      ready: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('stopped')));
          queueMicrotask(() => stop.abort());
        }),
      runOnce: async () => assert.fail('it was not ready'),
    });
    await runner.run(stop.signal);
    assert.equal(runner.status().runs, 0);
  });
});
