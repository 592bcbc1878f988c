import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { merge, type Source } from './merge.ts';

const never = new AbortController().signal;
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

const all = (...sources: Source<number>[]) =>
  async function* () {
    yield* sources;
  };

async function* of(...values: number[]) {
  yield* values;
}

describe('merge', () => {
  test('yields all of every source, each in its order', async () => {
    const many = Array.from({ length: 100 }, (_, index) => index);
    const seen = await Array.fromAsync(
      merge(
        all(
          () => of(...many),
          () => of(-1, -2),
        ),
        never,
      ),
    );
    assert.deepEqual(
      seen.filter((value) => value >= 0),
      many,
    );
    assert.deepEqual(
      seen.filter((value) => value < 0),
      [-1, -2],
    );
  });

  test('stops idle sources when one fails', async () => {
    const idle = async function* (signal: AbortSignal): AsyncGenerator<number> {
      yield 1;
      await untilAborted(signal);
    };
    const failing = async function* (): AsyncGenerator<number> {
      yield 2;
      throw new Error('broken');
    };
    await assert.rejects(Array.fromAsync(merge(all(idle, failing), never)), { message: 'broken' });
  });

  test('stops its sources when nobody takes any more, also those that wait for room', async () => {
    const endless = async function* (): AsyncGenerator<number> {
      for (let value = 0; ; value += 1) yield value;
    };
    for await (const value of merge(all(endless, endless), never)) if (value > 50) break;
  });

  test('takes sources that come later', async () => {
    const first = Promise.withResolvers<void>();
    const coming = async function* () {
      yield () => of(1);
      await first.promise;
      yield () => of(2);
    };
    const seen: number[] = [];
    for await (const value of merge<number>(coming, never)) {
      seen.push(value);
      first.resolve();
    }
    assert.deepEqual(seen, [1, 2]);
  });

  test('ends when it is aborted', async () => {
    const stop = new AbortController();
    const idle = async function* (signal: AbortSignal): AsyncGenerator<number> {
      yield 1;
      await untilAborted(signal);
    };
    for await (const value of merge(all(idle, idle), stop.signal)) if (value === 1) stop.abort();
  });
});
