import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Bell } from './bell.ts';

describe('Bell', () => {
  test('wakes all who wait for a name, and not those who wait for another', async () => {
    using bell = new Bell();
    const abort = new AbortController();
    let others = 0;
    void bell.heard('other', bell.count('other'), abort.signal).then(() => (others += 1));
    const waiting = [1, 2, 3].map(() => bell.heard('name', bell.count('name'), abort.signal));
    bell.ring('name');
    await Promise.all(waiting);
    assert.equal(others, 0);
    abort.abort();
  });

  test('misses no ring between the look and the wait', async () => {
    using bell = new Bell();
    const seen = bell.count('name');
    bell.ring('name');
    await bell.heard('name', seen, new AbortController().signal);
  });

  test('is heard in another thread', async () => {
    const memory = Bell.memory();
    using bell = new Bell(memory);
    const seen = bell.count('name');
    const code = `
      import { workerData } from 'node:worker_threads';
      const { Bell } = await import(workerData.module);
      new Bell(workerData.memory).ring('name');`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
      workerData: { memory, module: new URL('./bell.ts', import.meta.url).href },
    });
    const failed = new Promise<never>((_, reject) => worker.once('error', reject));
    await Promise.race([bell.heard('name', seen, new AbortController().signal), failed]);
    await worker.terminate();
  });

  test('a wait ends when aborted, and a later one still hears', async () => {
    using bell = new Bell();
    const abort = new AbortController();
    const aborted = bell.heard('name', bell.count('name'), abort.signal);
    abort.abort();
    await aborted;
    await bell.heard('name', bell.count('name'), abort.signal);
    const later = bell.heard('name', bell.count('name'), new AbortController().signal);
    bell.ring('name');
    await later;
  });
});
