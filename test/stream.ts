import { randomUUID } from 'node:crypto';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { MemoryStore } from '../src/adapters/memory/store.ts';
import type { Command } from '../src/domain/command.ts';
import type { Change, Operation, Row } from '../src/domain/envelope.ts';
import { blocksOf, type LogRecord } from '../src/domain/record-block.ts';
import type { ProcessorStatus } from '../src/domain/status.ts';
import type { Clock } from '../src/lib/clock.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { readTo } from '../src/ports/read-to.ts';
import type { Store } from '../src/ports/store.ts';
import type { Processor, TaskContext } from '../src/stream/processor.ts';
import { TaskRunner, type TaskRunnerOptions } from '../src/stream/tasks/task-runner.ts';

/** For tests of the stream engine: a log with the topics that they use, and what they do to it. */

export const INPUT = 'shop.orders';
export const OUTPUT = 'totals';
export const DEAD = 'orders.dead-letters';
export const COMMANDS = 'commands';

export async function newLog(
  inputPartitions = 1,
  options: ConstructorParameters<typeof MemoryEventLog>[0] = {},
): Promise<MemoryEventLog> {
  const log = new MemoryEventLog(options);
  await createTopics(log, inputPartitions);
  return log;
}

export function createTopics(log: EventLog, inputPartitions: number): Promise<void> {
  return log.createTopics([
    { name: INPUT, partitions: inputPartitions, cleanup: 'delete' },
    { name: OUTPUT, partitions: 3, cleanup: 'delete' },
    { name: DEAD, partitions: 1, cleanup: 'delete' },
    { name: COMMANDS, partitions: 1, cleanup: 'compact' },
  ]);
}

/** What goes into the log; a `value` as text stands for itself. */
export type Given = Readonly<{ key: unknown; value: string | Buffer | null; partition?: number }>;

export function change(op: Operation, id: number | null, after: Row | null, partition = 0): Given {
  const source = { schema: 'public', table: 'orders', ts_ms: 1_000 + (id ?? 0), txId: 1, lsn: 1 };
  return {
    key: id === null ? null : { id },
    value: JSON.stringify({ op, before: null, after, source: { ...source, snapshot: 'false' } }),
    partition,
  };
}

export const order = (id: number, amount: string, partition = 0): Given =>
  change('c', id, { id, amount }, partition);
export const truncate = (partition = 0): Given => change('t', null, null, partition);

export async function append(log: EventLog, given: readonly Given[]): Promise<void> {
  const producer = await log.openProducer('test');
  const records = given.map(({ key, value, partition = 0 }) => ({
    topic: INPUT,
    partition,
    record: {
      timestampMs: 7,
      key: key === null ? null : Buffer.isBuffer(key) ? key : Buffer.from(JSON.stringify(key)),
      value: typeof value === 'string' ? Buffer.from(value) : value,
      headers: [['from', 'test']] as const,
    },
  }));
  await producer.append(blocksOf(records));
}

type Asked<C> = C extends unknown ? Omit<C, 'id' | 'atMs'> : never;

export async function command(log: EventLog, asked: Asked<Command>): Promise<void> {
  const producer = await log.openProducer('operator');
  const value = Buffer.from(JSON.stringify({ id: randomUUID(), atMs: 0, ...asked }));
  const record = { timestampMs: 0, key: Buffer.from('x'), value, headers: [] };
  await producer.append(blocksOf([{ topic: COMMANDS, partition: 0, record }]));
}

/** All records of a partition, up to its end now. */
export async function contents(
  log: EventLog,
  topic: string,
  partition = 0,
): Promise<readonly LogRecord[]> {
  const { start, end } = await log.offsets({ topic, partition });
  const from = { topic, partition, offset: start };
  const { signal } = new AbortController();
  return (await Array.fromAsync(readTo(log, from, end, signal))).flat();
}

/** Of each record of a partition: its value. */
export async function values(log: EventLog, topic: string, partition = 0): Promise<string[]> {
  return (await contents(log, topic, partition)).map(({ value }) => textOf(value));
}

export function headersOf(record: LogRecord | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(record?.headers ?? []);
}

export function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? 'null' : Buffer.from(bytes).toString();
}

/**
 * The sum of the amounts of each order, in state and served, and put out at each change. Amounts
 * that are no numbers fail after some effects; those in `cured` no longer do.
 */
export function totals(cured: ReadonlySet<string> = new Set(), isAsync = false): Processor {
  return {
    name: 'orders',
    topics: [INPUT],
    ...(!isAsync && { reads: (each) => [idOf(each)] }),
    process: isAsync
      ? async (each, context) => {
          await context.state.load([idOf(each)]);
          addUp(each, context, cured);
        }
      : (each, context) => addUp(each, context, cured),
  };
}

function addUp(each: Change, context: TaskContext, cured: ReadonlySet<string>): void {
  const id = idOf(each);
  const amount = (each.after as { amount?: string } | null)?.amount ?? '0';
  context.serve({ op: 'add', key: 'count', amount: '1' });
  context.forward({ topic: OUTPUT, key: id, value: `${each.op} ${amount}` });
  if (each.op === 't') return;
  const total = Number(context.state.get(id) ?? '0') + (Number(amount) || 0);
  context.state.set(id, String(total));
  context.serve({ op: 'put', key: `total:${id}`, value: String(total) });
  if (Number.isNaN(Number(amount)) && !cured.has(amount)) throw new TypeError(`bad ${amount}`);
  context.serve({ op: 'add', key: 'sum', amount: String(Number(amount) || 0) });
}

function idOf({ key }: Change): string {
  return String((key as { id: number } | null)?.id ?? 'none');
}

/** Stands still until turned. */
export class TurnedClock implements Clock {
  #nowMs = 1_000_000;
  readonly #sleepers = new Set<{ untilMs: number; wake: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = { untilMs: this.#nowMs + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal.addEventListener('abort', () => resolve());
      if (signal.aborted || ms <= 0) resolve();
    });
  }

  turn(ms: number): void {
    this.#nowMs += ms;
    for (const sleeper of this.#sleepers) {
      if (sleeper.untilMs > this.#nowMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}

/** A runner at work; ended when disposed, which throws what it threw. */
export type Running = AsyncDisposable &
  Readonly<{
    log: EventLog;
    store: Store;
    clock: TurnedClock;
    runner: TaskRunner;
    ended: Promise<void>;
    stop(): Promise<void>;
    /** Waits until all input is taken into account and all output is in the log. */
    idle(): Promise<void>;
    /** Waits for a status that fits. */
    status(fits: (status: ProcessorStatus) => boolean): Promise<ProcessorStatus>;
  }>;

export function start(
  parts: Readonly<{ log: EventLog; store?: Store; processor?: TaskRunnerOptions['processor'] }> &
    Partial<Pick<TaskRunnerOptions, 'limits' | 'onChange' | 'onMissingHistory' | 'progress'>>,
): Running {
  const { log, store = new MemoryStore(), processor = totals(), ...rest } = parts;
  const clock = new TurnedClock();
  const runner = new TaskRunner({
    processor,
    log,
    store,
    clock,
    commandTopic: COMMANDS,
    deadLetterTopic: DEAD,
    ...rest,
  });
  const stopping = new AbortController();
  let failure: { error: unknown } | undefined;
  const ended = runner.run(stopping.signal);
  ended.catch((error: unknown) => {
    failure = { error };
  });
  const status: Running['status'] = (fits) =>
    eventually(async () => {
      if (failure !== undefined) throw failure.error;
      const found = await runner.status();
      return fits(found) ? found : undefined;
    });
  const stop = async (): Promise<void> => {
    stopping.abort();
    await ended;
  };
  return {
    log,
    store,
    clock,
    runner,
    ended,
    stop,
    status,
    idle: async () => {
      await status((now) => now.tasks.length > 0 && now.tasks.every(isDone));
      await eventually(async () => {
        if (failure !== undefined) throw failure.error;
        return (await isForwarded(store)) || undefined;
      });
    },
    [Symbol.asyncDispose]: stop,
  };
}

export async function isForwarded(store: Store): Promise<boolean> {
  for (const task of await store.tasks()) {
    if ((await store.outgoing(task, 1)).length > 0) return false;
  }
  return true;
}

function isDone({ partitions }: ProcessorStatus['tasks'][number]): boolean {
  return partitions.every(({ offset, end }) => offset === end);
}

/** Looks again and again, giving others their turn; fails after some seconds. */
export async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  const givenUpAt = Date.now() + 5_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > givenUpAt) throw new Error('it did not happen within 5 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export async function servedNumber(store: Store, key: string): Promise<number> {
  const found = await store.get(key, 0);
  return found?.type === 'string' ? Number(found.value) : 0;
}

/** Whether all input of these partitions is taken into account, and all output is in the log. */
export async function isTakenIn(
  { log, store }: Readonly<{ log: EventLog; store: Store }>,
  partitions: number,
): Promise<boolean> {
  for (let partition = 0; partition < partitions; partition += 1) {
    const { end } = await log.offsets({ topic: INPUT, partition });
    const id = `${INPUT}-${partition}`;
    if (((await store.offsets(`orders/${id}`))[id] ?? 0) !== end) return false;
  }
  return isForwarded(store);
}

export async function parkedCount(store: Store): Promise<number> {
  let count = 0;
  for (const task of await store.tasks()) {
    count += (await Array.fromAsync(store.range(task, '\u0000'))).length;
  }
  return count;
}

/** What each task put out to a partition, in its order. */
export async function outputs(
  log: EventLog,
  partition: number,
): Promise<Partial<Record<string, { id: string; value: string }[]>>> {
  const records = (await contents(log, OUTPUT, partition)).map((record) => ({
    id: headersOf(record)['millrace.id'] ?? '',
    value: textOf(record.value),
  }));
  return Object.groupBy(records, ({ id }) => id.split(':')[0] ?? '');
}

/** The ids of all dead letters. */
export async function letters(log: EventLog): Promise<string[]> {
  const records = await contents(log, DEAD);
  return records.map((record) => headersOf(record)['millrace.id'] ?? '').toSorted();
}
