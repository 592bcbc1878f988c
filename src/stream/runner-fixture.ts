import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { MemoryStore } from '../adapters/memory/store.ts';
import type { Command } from '../domain/command.ts';
import type { Operation, Row } from '../domain/envelope.ts';
import { blocksOf, type LogRecord } from '../domain/record-block.ts';
import type { ProcessorStatus } from '../domain/status.ts';
import type { Clock } from '../lib/clock.ts';
import type { EventLog, TopicPartition } from '../ports/event-log.ts';
import type { Store } from '../ports/store.ts';
import type { Processor } from './processor.ts';
import { TaskRunner, type TaskRunnerOptions } from './task-runner.ts';

/** For tests of this folder: a log with the topics that they use, and what they do to it. */

export const INPUT = 'shop.orders';
export const OUTPUT = 'totals';
export const DEAD = 'orders.dead-letters';
export const COMMANDS = 'commands';

export async function newLog(inputPartitions = 1): Promise<MemoryEventLog> {
  const log = new MemoryEventLog();
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
  const value = Buffer.from(JSON.stringify({ id: 'x', atMs: 0, ...asked }));
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
  const found: LogRecord[] = [];
  if (start === end) return found;
  const stop = new AbortController();
  for await (const records of log.read({ topic, partition, offset: start }, stop.signal)) {
    found.push(...records);
    if ((records.at(-1)?.offset ?? 0) + 1 >= end) break;
  }
  return found;
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
  const handle: Processor['process'] = ({ op, key, after }, { state, serve, forward }) => {
    const id = String(key?.['id'] ?? 'none');
    const amount = String(after?.['amount'] ?? '0');
    serve({ op: 'add', key: 'count', amount: '1' });
    forward({ topic: OUTPUT, key: id, value: `${op} ${amount}` });
    if (op === 't') return;
    const total = Number(state.get(id) ?? '0') + (Number.isNaN(Number(amount)) ? 0 : +amount);
    state.set(id, String(total));
    serve({ op: 'put', key: `total:${id}`, value: String(total) });
    if (Number.isNaN(Number(amount)) && !cured.has(amount)) throw new TypeError(`bad ${amount}`);
    serve({ op: 'add', key: 'sum', amount: String(Number(amount) || 0) });
  };
  return {
    name: 'orders',
    topics: [INPUT],
    ...(!isAsync && { reads: ({ key }) => [String(key?.['id'] ?? 'none')] }),
    process: isAsync
      ? async (change, context) => {
          await context.state.load([String(change.key?.['id'] ?? 'none')]);
          await handle(change, bound(context));
        }
      : (change, context) => handle(change, bound(context)),
  };
}

// So that the processor above may take the functions out of the context.
function bound(context: Parameters<Processor['process']>[1]): typeof context {
  return {
    task: context.task,
    state: context.state,
    serve: (write) => context.serve(write),
    forward: (record) => context.forward(record),
  };
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
  parts: Readonly<{ log: EventLog; store?: Store; processor?: Processor }> &
    Partial<Pick<TaskRunnerOptions, 'limits' | 'onChange'>>,
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

/** A partition's offset, as a `from` for reading. */
export const inputAt = (offset: number): TopicPartition & { offset: number } => ({
  topic: INPUT,
  partition: 0,
  offset,
});
