import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LmdbEventLog } from '../src/adapters/lmdb/event-log.ts';
import { LmdbStore } from '../src/adapters/lmdb/store.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { temporaryFolder } from '../test/postgres.ts';
import type { Figures } from './figures.ts';
import { percentile } from './statistics.ts';

const PER_SECOND = 1000;
const SECONDS = 20;
const WARM_UP_SECONDS = 3;
const CONNECTIONS = 8;
/** How often log and store are looked at: half of it is in the figures. */
const LOOK_EVERY_MS = 0.25;

type Milestones = { committedUs: number; loggedMs: number; storedMs: number };

/** Rows in the order in which the log holds them, and when each was seen where. */
class Seen {
  readonly ids: number[] = [];
  readonly #byId = new Map<number, Milestones>();
  storedCount = 0;

  logged(id: number, committedUs: number, loggedMs: number): void {
    this.ids.push(id);
    this.#byId.set(id, { committedUs, loggedMs, storedMs: Number.NaN });
  }

  stored(id: number, storedMs: number): void {
    const milestones = this.#byId.get(id);
    if (milestones === undefined) throw new Error(`row ${id} is in the store, but not in the log`);
    milestones.storedMs = storedMs;
    this.storedCount += 1;
  }

  get all(): readonly Milestones[] {
    return [...this.#byId.values()];
  }
}

/**
 * A thousand single-row transactions a second into the shop's embedded database, seen from outside:
 * when is a change in the durable log, when in the store? The clock starts at the commit time that
 * PostgreSQL gives the transaction. Everything runs on this machine, in `millrace up` as a user runs it.
 */
export async function benchLatency(): Promise<Figures> {
  const dataDir = await temporaryFolder('millrace-bench-');
  const up = spawn(
    'src/cli/millrace',
    ['up', '--no-generator', '--data-dir', dataDir, '--pipeline', 'pipelines/shop'],
    { cwd: new URL('..', import.meta.url).pathname, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise((resolve) => up.once('close', resolve));
  try {
    await new Promise<void>((resolve, reject) => {
      up.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('streaming') && resolve());
      void ended.then(() => reject(new Error('millrace up ended before it streamed')));
    });
    return await measure(dataDir);
  } finally {
    up.kill('SIGTERM');
    await ended;
  }
}

async function measure(dataDir: string): Promise<Figures> {
  await using log = await LmdbEventLog.open({
    dir: join(dataDir, 'log'),
    retention: { ms: Number.MAX_SAFE_INTEGER, bytes: 2 ** 31 },
  });
  await using store = await LmdbStore.open({ dir: join(dataDir, 'store') });
  const { port, user, password } = JSON.parse(
    readFileSync(join(dataDir, 'postgres', 'postgres.json'), 'utf8'),
  ) as { port: number; user: string; password: string };
  const facts = { host: '127.0.0.1', port, user, password, database: 'source_db' };
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => PostgresClient.connect(facts)),
  );
  const seen = new Seen();
  const watching = new AbortController();
  const watched = Promise.all([
    watchLog(log, seen, watching.signal),
    watchStore(store, seen, watching.signal),
  ]);
  const inserts = await insertSteadily(clients);
  while (seen.storedCount < inserts) await new Promise((resolve) => setTimeout(resolve, 20));
  watching.abort();
  await watched;
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  return figures(seen.all);
}

/** Returns how many rows were inserted: one a millisecond, each a transaction. */
async function insertSteadily(clients: readonly PostgresClient[]): Promise<number> {
  const started = performance.now();
  const total = PER_SECOND * (SECONDS + WARM_UP_SECONDS);
  const open: Promise<unknown>[] = [];
  let sent = 0;
  while (sent < total) {
    const due = Math.min(total, Math.floor(((performance.now() - started) / 1000) * PER_SECOND));
    for (; sent < due; sent += 1) {
      const client = clients[sent % clients.length];
      const email = `bench-${process.pid}-${sent}@example.com`;
      open.push(
        client?.query(
          `INSERT INTO customers (first_name, last_name, email, city, state) VALUES ('A', 'B', $1, 'C', 'NY')`,
          [email],
        ) ?? Promise.resolve(),
      );
    }
    await pause();
  }
  await Promise.all(open);
  return total;
}

async function watchLog(log: LmdbEventLog, seen: Seen, signal: AbortSignal): Promise<void> {
  const partition = { topic: 'dbserver1.public.customers', partition: 0 };
  let next = (await log.offsets(partition)).end;
  while (!signal.aborted) {
    const { end } = await log.offsets(partition);
    if (end > next) {
      const loggedMs = nowMs();
      for await (const records of log.read({ ...partition, offset: next }, signal)) {
        for (const { value } of records) {
          const { after, source } = JSON.parse(Buffer.from(value ?? []).toString()) as {
            after: { id: number };
            source: { ts_us: number };
          };
          seen.logged(after.id, source.ts_us, loggedMs);
        }
        next = (records.at(-1)?.offset ?? next) + 1;
        if (next >= end) break;
      }
    }
    await pause();
  }
}

/** The store is looked at for the oldest change that the log holds and the store does not: rows come in order. */
async function watchStore(store: LmdbStore, seen: Seen, signal: AbortSignal): Promise<void> {
  let next = 0;
  while (!signal.aborted) {
    for (let id = seen.ids[next]; id !== undefined; id = seen.ids[next]) {
      if ((await store.get(`customer:${id}`, Date.now())) === undefined) break;
      seen.stored(id, nowMs());
      next += 1;
    }
    await pause();
  }
}

function figures(all: readonly Milestones[]): Figures {
  const measured = all
    .toSorted((a, b) => a.committedUs - b.committedUs)
    .slice(PER_SECOND * WARM_UP_SECONDS);
  const since = (name: 'loggedMs' | 'storedMs') =>
    measured.map((each) => each[name] - each.committedUs / 1000).toSorted((a, b) => a - b);
  const logged = since('loggedMs');
  const stored = since('storedMs');
  const round = (ms: number) => Math.round(ms * 10) / 10;
  return {
    log_p50_ms: round(percentile(logged, 0.5)),
    log_p99_ms: round(percentile(logged, 0.99)),
    store_p50_ms: round(percentile(stored, 0.5)),
    store_p99_ms: round(percentile(stored, 0.99)),
    changes: measured.length,
  };
}

const clockOffsetMs = performance.timeOrigin;

function nowMs(): number {
  return clockOffsetMs + performance.now();
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Lets others run, then sleeps for less than a timer can. */
async function pause(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  Atomics.wait(cell, 0, 0, LOOK_EVERY_MS);
}
