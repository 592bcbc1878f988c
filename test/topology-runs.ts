import { MemoryStore } from '../src/adapters/memory/store.ts';
import { blocksOf } from '../src/domain/record-block.ts';
import type { TableRef } from '../src/domain/table.ts';
import { must } from '../src/lib/must.ts';
import { murmur2 } from '../src/lib/murmur2.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import type { Store } from '../src/ports/store.ts';
import { storedWaitMs } from '../src/stream/stage/stage-handler.ts';
import { tickTopic } from '../src/stream/stage/topology-subject.ts';
import type { Compiled } from '../src/stream/topology/compile.ts';
import { type Crash, Killed, mortal, type World } from './mortal.ts';
import { COMMANDS, contents, DEAD, eventually, isForwarded, start, textOf } from './stream.ts';

/** For tests of whole topologies in the engine: what goes in, runs that crash, and what came out. */

/** A change of a row of a table. */
export type GivenChange = Readonly<{
  table: TableRef<unknown, unknown>;
  op: 'c' | 'u' | 'd' | 'r' | 't';
  before?: unknown;
  after?: unknown;
  atMs: number;
}>;

const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, cacheEntries: 4 };

/** All topics that a topology needs; `tables` have `partitions` each. */
export async function createTopicsOf(
  log: EventLog,
  { declares, topology, isTimed }: Compiled,
  tables: readonly string[],
  partitions: number,
): Promise<void> {
  await log.createTopics([
    ...tables.map((name) => ({ name, partitions, cleanup: 'delete' as const })),
    ...declares,
    { name: DEAD, partitions: 1, cleanup: 'delete' },
    { name: COMMANDS, partitions: 1, cleanup: 'compact' },
    ...(isTimed
      ? [{ name: tickTopic(topology.name), partitions: 1, cleanup: 'delete' as const }]
      : []),
  ]);
}

/** As capture writes them: each row's changes in the partition of its key, truncates in all. */
export async function appendChanges(
  log: EventLog,
  changes: readonly GivenChange[],
  partitions: number,
): Promise<void> {
  const producer = await log.openProducer('test');
  const records = changes.flatMap(({ table, op, before, after, atMs }) => {
    const row = (after ?? before) as Record<string, unknown> | undefined;
    const key =
      row === undefined
        ? null
        : Buffer.from(JSON.stringify(Object.fromEntries(table.key.map((at) => [at, row[at]]))));
    const source = { schema: 's', table: table.topic, ts_ms: atMs, txId: 1, lsn: 1 };
    const event = {
      op,
      before: before ?? null,
      after: after ?? null,
      source: { ...source, snapshot: op === 'r' ? 'true' : 'false' },
    };
    const record = {
      timestampMs: atMs,
      key,
      value: Buffer.from(JSON.stringify(event)),
      headers: [],
    };
    const all = Array.from({ length: partitions }, (_, at) => at);
    const into = key === null ? all : [(murmur2(key) & 0x7fffffff) % partitions];
    return into.map((partition) => ({ topic: table.topic, partition, record }));
  });
  await producer.append(blocksOf(records));
  await producer.close();
}

export type RunOptions = Readonly<{
  processor: Compiled;
  partitions: number;
  crashes?: readonly Crash[];
  /** What capture says about how far time has come. */
  passedMs?: number;
}>;

/** Runs, is killed as the schedule says, runs again, until done. */
export async function runThrough(world: World, options: RunOptions): Promise<void> {
  const { processor, crashes = [], passedMs } = options;
  for (const crash of [...crashes, undefined]) {
    const running = start({
      ...mortal(world, crash),
      processor,
      limits: LIMITS,
      ...(passedMs !== undefined && { progress: async () => passedMs }),
    });
    let isEnded = false;
    const ended = running.ended.then(
      () => undefined,
      (error: unknown) => {
        isEnded = true;
        return error;
      },
    );
    try {
      await eventually(async () => {
        if (isEnded) return true;
        running.clock.turn(1000);
        return (await isAtRest(world, options)) || undefined;
      });
    } finally {
      await running.stop().catch(() => {});
    }
    const error = await ended;
    if (error !== undefined && !(error instanceof Killed)) throw error;
  }
}

async function isAtRest(world: World, options: RunOptions): Promise<boolean> {
  const ends = await endsReached(world, options);
  if (ends === undefined || !(await isForwarded(world.store))) return false;
  // What was forwarded meanwhile went to a stage that had seemed to be through.
  return (await endsReached(world, options)) === ends;
}

/** Where the log ends, if every stage has come there, and done what was due. */
async function endsReached(
  { log, store }: World,
  { processor: { stages, topology }, partitions, passedMs = -Infinity }: RunOptions,
): Promise<string | undefined> {
  const topics = await log.topics();
  const ends: unknown[] = [];
  for (const { topic } of stages) {
    const declared = topics.find(({ name }) => name === topic);
    for (let partition = 0; partition < (declared?.partitions ?? partitions); partition += 1) {
      const id = `${topic}-${partition}`;
      const task = `${topology.name}/${id}`;
      const { end } = await log.offsets({ topic, partition });
      const reached = (await store.offsets(task))[id] ?? 0;
      if (reached !== end) return undefined;
      ends.push(end);
      if (((await storedWaitMs(store, task)) ?? Infinity) <= passedMs) return undefined;
    }
  }
  return ends.join(' ');
}

/** What a topic has, each partition in its order. */
export async function valuesOf(log: EventLog, topic: string): Promise<unknown[]> {
  const { partitions } = must(
    (await log.topics()).find(({ name }) => name === topic),
    'the topology declares it',
  );
  const all = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => contents(log, topic, partition)),
  );
  return all.flat().map(({ value }) => (value === null ? null : JSON.parse(textOf(value))));
}

/** The same log with a store that has lost everything. */
export function withNewStore({ log }: World): World & { store: Store } {
  return { log, store: new MemoryStore() };
}
