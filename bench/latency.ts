import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LmdbEventLog } from '../src/adapters/lmdb/event-log.ts';
import { LmdbStore } from '../src/adapters/lmdb/store.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { temporaryFolder } from '../test/postgres.ts';
import type { Figures } from './figures.ts';
import { percentile } from './statistics.ts';
import { SteadyInserts } from './steady-inserts.ts';

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
    fileURLToPath(new URL('../src/cli/millrace', import.meta.url)),
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
  const load = new SteadyInserts(clients, {
    perSecond: PER_SECOND,
    seconds: SECONDS + WARM_UP_SECONDS,
    insert: (client, n) =>
      client.query(
        `INSERT INTO customers (first_name, last_name, email, city, state) VALUES ('A', 'B', $1, 'C', 'NY')`,
        [`bench-${process.pid}-${n}@example.com`],
      ),
  });
  const logWatch = await LogWatch.begin(log, seen);
  const storeWatch = new StoreWatch(store, seen);
  while (seen.storedCount < load.total) {
    load.sendDue();
    await logWatch.look();
    await storeWatch.look();
    await pause();
  }
  await load.done();
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  return figures(seen.all);
}

class LogWatch {
  static readonly #partition = { topic: 'dbserver1.public.customers', partition: 0 };
  readonly #log: LmdbEventLog;
  readonly #seen: Seen;
  #next: number;

  private constructor(log: LmdbEventLog, seen: Seen, next: number) {
    this.#log = log;
    this.#seen = seen;
    this.#next = next;
  }

  /** From the log's end on. */
  static async begin(log: LmdbEventLog, seen: Seen): Promise<LogWatch> {
    return new LogWatch(log, seen, (await log.offsets(LogWatch.#partition)).end);
  }

  async look(): Promise<void> {
    const { end } = await this.#log.offsets(LogWatch.#partition);
    if (end <= this.#next) return;
    const loggedMs = nowMs();
    const from = { ...LogWatch.#partition, offset: this.#next };
    for await (const { records, next } of this.#log.read(from, new AbortController().signal)) {
      for (const { value } of records) {
        const { after, source } = JSON.parse(Buffer.from(value ?? []).toString()) as {
          after: { id: number };
          source: { ts_us: number };
        };
        this.#seen.logged(after.id, source.ts_us, loggedMs);
      }
      this.#next = next;
      if (this.#next >= end) return;
    }
  }
}

/** Looks for the oldest change that the log holds and the store does not: rows come in order. */
class StoreWatch {
  readonly #store: LmdbStore;
  readonly #seen: Seen;
  #next = 0;

  constructor(store: LmdbStore, seen: Seen) {
    this.#store = store;
    this.#seen = seen;
  }

  async look(): Promise<void> {
    for (let id = this.#seen.ids[this.#next]; id !== undefined; id = this.#seen.ids[this.#next]) {
      if ((await this.#store.get(`customer:${id}`, Date.now())) === undefined) return;
      this.#seen.stored(id, nowMs());
      this.#next += 1;
    }
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
