import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LmdbEventLog } from '../../adapters/lmdb/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { append, createTopics, eventually, INPUT, order, start } from '../../../test/stream.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Processor } from '../processor.ts';
import { bytesOf } from './slices.ts';

const LIMITS = { maxRecords: 1000, maxBytes: 20_000, cacheEntries: 10 };
const BATCHES = 120;
const RECORDS_A_BATCH = 20;
/** Of a commit under way, of the one that is being filled, and of what was read at once. */
const BOUND = 2 * LIMITS.maxBytes + 256 * 1024;

test('a slow processor makes the reader wait: what is in memory stays bounded', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-pressure-'));
  try {
    const retention = { ms: 3_600_000, bytes: 1 << 30 };
    await using log = await LmdbEventLog.open({ dir, retention });
    await createTopics(log, 1);
    for (let batch = 0; batch < BATCHES; batch += 1)
      await append(
        log,
        Array.from({ length: RECORDS_A_BATCH }, (_, index) => order(index, '1'.repeat(1000))),
      );
    const flow = new Flow();
    const store = new MemoryStore();
    const commit = store.commit.bind(store);
    store.commit = async (each) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      await commit(each);
      flow.committed(each.to[`${INPUT}-0`] ?? 0);
    };
    const slow: Processor = {
      name: 'orders',
      topics: [INPUT],
      process: async ({ offset }) => {
        if (offset % RECORDS_A_BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
      },
    };
    const running = start({ log: flow.through(log), store, processor: slow, limits: LIMITS });
    await eventually(async () => flow.isDone || undefined);
    await running.stop();
    assert.ok(flow.most > LIMITS.maxBytes, `${flow.most} bytes: one commit waits for the other`);
    assert.ok(flow.most <= BOUND, `${flow.most} bytes in flight`);
    assert.ok(flow.total > 8 * BOUND);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

/** Counts what was read from the log and is not yet committed. */
class Flow {
  most = 0;
  total = 0;
  #inFlight: { offset: number; bytes: number }[] = [];

  get isDone(): boolean {
    return this.total > 0 && this.#inFlight.length === 0;
  }

  committed(next: number): void {
    this.#inFlight = this.#inFlight.filter(({ offset }) => offset >= next);
  }

  /** The log, where the task's reading is watched. */
  through(log: EventLog): EventLog {
    const read: EventLog['read'] = (from, signal) =>
      from.topic === INPUT ? this.#watched(log.read(from, signal)) : log.read(from, signal);
    return new Proxy(log, {
      get: (target, name) => {
        if (name === 'read') return read;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  async *#watched(batches: ReturnType<EventLog['read']>): ReturnType<EventLog['read']> {
    for await (const batch of batches) {
      for (const record of batch.records) {
        const bytes = bytesOf([record]);
        this.#inFlight.push({ offset: record.offset, bytes });
        this.total += bytes;
      }
      this.most = Math.max(
        this.most,
        this.#inFlight.reduce((sum, { bytes }) => sum + bytes, 0),
      );
      yield batch;
    }
  }
}
