import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runTogether } from './run-together.ts';
import { Wakeup } from './wakeup.ts';

const untilStopped = (signal: AbortSignal) => new Wakeup().wait(signal);

describe('runTogether', () => {
  test('stops the others when one throws, and throws that once they have ended', async () => {
    let isEnded = false;
    const failing = runTogether(new AbortController().signal, [
      async (signal) => {
        await untilStopped(signal);
        isEnded = true;
        throw new Error('second');
      },
      () => Promise.reject(new Error('first')),
    ]);
    await assert.rejects(failing, { message: 'first' });
    assert.ok(isEnded);
  });

  test('ends when told to', async () => {
    const stop = new AbortController();
    const ended = runTogether(stop.signal, [untilStopped, untilStopped]);
    stop.abort();
    await ended;
  });
});

describe('Wakeup', () => {
  test('loses no call from before the wait', async () => {
    const wakeup = new Wakeup();
    wakeup.raise();
    await wakeup.wait(new AbortController().signal);
    const again = wakeup.wait(new AbortController().signal);
    wakeup.raise();
    await again;
  });
});
