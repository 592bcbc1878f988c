import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { CreatedSlot, PostgresSource } from '../adapters/postgres/source.ts';
import { captureProducer } from '../capture/native-connector.ts';
import { MillraceError } from '../domain/errors.ts';
import { formatLsn, type Lsn } from '../domain/lsn.ts';
import { parsePosition, type Position } from '../domain/position.ts';
import { TransactionSnapshot } from '../domain/transaction-snapshot.ts';
import { decodeChange } from '../domain/envelope.ts';
import { must } from '../lib/must.ts';
import type { EventLog, TopicPartition } from '../ports/event-log.ts';
import { readTo } from '../ports/read-to.ts';
import type { Store } from '../ports/store.ts';
import { partitionsOfTopic } from './consume.ts';
import {
  type OperationContext,
  type RunningParts,
  runningIn,
  storeIn,
} from './operation-context.ts';
import type { ReconcileArguments, ReconcileEvent } from './operations.ts';
import type { StoreReader } from './pipeline.ts';

/** A hold ends by itself after so long, should we die; while we live it is renewed in time. */
const LEASE_MS = 30_000;
const RENEW_MS = 10_000;
const NAME_BLOCKERS_AFTER_MS = 30_000;
const LOOK_EVERY_MS = 20;

/**
 * Proves that the store equals the source, while both go on moving.
 *
 * A temporary slot gives a snapshot and the point in the WAL where it was taken. In each partition
 * the records of the snapshot are exactly those before the first whose transaction it does not
 * see; with the processors at rest there, the store must show what a query in the snapshot shows.
 * The processors go on as soon as the comparison is over, however it ends.
 */
export async function* reconcile(
  { nameBlockersAfterMs = NAME_BLOCKERS_AFTER_MS }: ReconcileArguments,
  context: OperationContext,
  signal: AbortSignal,
): AsyncGenerator<ReconcileEvent, void> {
  const running = runningIn(context);
  const startedMs = context.clock();
  const compare = running.pipeline.reconcile;
  if (compare === undefined)
    throw new MillraceError('usage', {
      expected: 'a pipeline that says how source and store compare (`reconcile` in pipeline.ts)',
      found: running.pipeline.name,
    });
  await refuseDuringCopy(context, running);
  await using source = await running.openSource();
  await using hold = new Hold(context, running);
  yield progress('holding the processors');
  await hold.place('now', signal);
  yield progress('taking a snapshot of the source');
  await using creating = createSlot(source, nameBlockersAfterMs, context.clock, signal);
  for await (const message of creating.blockers) yield progress(message);
  const slot = await creating.slot;
  yield progress(`waiting until capture has passed ${formatLsn(slot.consistentPoint)}`);
  await untilCaptured(context, running, slot.consistentPoint, signal);
  const targets = await findTargets(context, running, slot.snapshot.visible, signal);
  yield progress('moving the processors to the snapshot');
  await hold.place(targets, signal);
  let figures = 0;
  let differences = 0;
  const store = readerOf(storeIn(context), context.clock);
  for await (const figure of compare((sql, values) => slot.snapshot.query(sql, values), store)) {
    signal.throwIfAborted();
    hold.check();
    const equal = figure.source === figure.store;
    figures += 1;
    if (!equal) differences += 1;
    yield { kind: 'figure', ...figure, equal };
  }
  yield { kind: 'summary', figures, differences, tookMs: context.clock() - startedMs };
}

function progress(message: string): ReconcileEvent {
  return { kind: 'progress', message };
}

/** Rows that are being copied are in the snapshot, but not yet in the log. */
async function refuseDuringCopy(context: OperationContext, running: RunningParts): Promise<void> {
  const position = await capturePosition(context.log, running);
  const isCopying = position?.end === undefined || (position.copy ?? []).length > 0;
  if (!isCopying) return;
  throw new MillraceError('reconcile_not_possible', {
    found: 'tables are being copied',
    expected: 'the copy at its end: see `millrace status`',
  });
}

async function capturePosition(
  log: EventLog,
  { connector }: RunningParts,
): Promise<Position | undefined> {
  const text = await log.positionOf(captureProducer(connector.name));
  return text === undefined ? undefined : parsePosition(text);
}

/** Processors at rest: placed by commands, renewed on a timer, released when disposed. */
class Hold implements AsyncDisposable {
  readonly #context: OperationContext;
  readonly #running: RunningParts;
  readonly #processors: readonly string[];
  #id: string | undefined;
  #at: Readonly<Record<string, number>> | 'now' = 'now';
  #renewing: NodeJS.Timeout | undefined;
  #failure: unknown;

  constructor(context: OperationContext, running: RunningParts) {
    this.#context = context;
    this.#running = running;
    this.#processors = running.pipeline.processors.map(({ name }) => name);
  }

  /** Resolves when every processor rests there. Replaces the last place, without a gap between. */
  async place(at: Readonly<Record<string, number>> | 'now', signal: AbortSignal): Promise<void> {
    const before = this.#id;
    this.#id = randomUUID();
    this.#at = at;
    await this.#send();
    this.#renewing ??= setInterval(() => void this.#renew(), RENEW_MS);
    if (before !== undefined) await this.#release(before);
    for (const processor of this.#processors) await this.#untilHeld(processor, signal);
  }

  /** Throws when the hold could not be renewed, since the processors may have gone on. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const name of this.#processors) {
      const found = this.#context.statuses.processor(name);
      if (found?.hold !== this.#id)
        throw new MillraceError('reconcile_not_possible', {
          expected: `${name} at rest during the comparison`,
          found: found?.state ?? 'no status',
        });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#renewing);
    if (this.#id !== undefined) await this.#release(this.#id);
  }

  async #untilHeld(processor: string, signal: AbortSignal): Promise<void> {
    await this.#context.statuses.until(() => {
      const status = this.#context.statuses.processor(processor);
      if (status?.state === 'failed')
        throw new MillraceError('reconcile_not_possible', {
          expected: `${processor} running`,
          found: `it has failed: ${status.problem ?? 'see the log'}`,
        });
      return status?.hold === this.#id ? status : undefined;
    }, signal);
  }

  async #send(): Promise<void> {
    const hold = must(this.#id, 'a hold is placed before it is renewed');
    for (const processor of this.#processors)
      await this.#running.commands.send({
        do: 'hold',
        processor,
        hold,
        at: this.#at,
        leaseMs: LEASE_MS,
      });
  }

  async #renew(): Promise<void> {
    try {
      await this.#send();
    } catch (error) {
      this.#failure = error;
    }
  }

  async #release(hold: string): Promise<void> {
    for (const processor of this.#processors)
      await this.#running.commands.send({ do: 'release', processor, hold });
  }
}

/** Creating a slot waits for every transaction that runs; those that take long are named meanwhile. */
function createSlot(
  source: PostgresSource,
  nameBlockersAfterMs: number,
  clock: () => number,
  signal: AbortSignal,
): { slot: Promise<CreatedSlot>; blockers: AsyncGenerator<string, void> } & AsyncDisposable {
  const name = `millrace_reconcile_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const slot = source.createSlot(name, { temporary: true, signal });
  const ended = slot.then(
    () => true,
    () => true,
  );
  const blockers = async function* (): AsyncGenerator<string, void> {
    const startedMs = clock();
    for (;;) {
      const timer = new AbortController();
      const isCreated = await Promise.race([
        ended,
        wait(nameBlockersAfterMs, false, { signal: timer.signal }).catch(() => false),
      ]);
      timer.abort();
      if (isCreated) return;
      const waitedS = Math.round((clock() - startedMs) / 1000);
      for (const { pid, startedAt, query } of await source.blockers())
        yield `after ${waitedS} s still waiting for a transaction to end: pid ${pid ?? 'none (prepared)'}, begun ${startedAt ?? '?'}, ${query.slice(0, 200)}`;
    }
  };
  return {
    slot,
    blockers: blockers(),
    async [Symbol.asyncDispose]() {
      // One that was never created has told why where it was awaited.
      await (await slot.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}

async function untilCaptured(
  { log, statuses }: OperationContext,
  running: RunningParts,
  point: Lsn,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const position = await capturePosition(log, running);
    if (position?.end !== undefined && position.end >= point) return;
    const { state, problem } = statuses.connector ?? {};
    if (state === 'failed' || state === 'paused')
      throw new MillraceError('reconcile_not_possible', {
        expected: 'the connector streaming',
        found: problem ?? state,
      });
    await wait(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** By `topic-partition`, the offset of the first record that the snapshot does not see, else the end. */
async function findTargets(
  { log, statuses }: OperationContext,
  { pipeline }: RunningParts,
  visible: string,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const snapshot = new TransactionSnapshot(visible);
  const held = heldOffsets(statuses.processors);
  const read = new Set(pipeline.processors.flatMap(({ topics }) => topics));
  const partitions = (await log.topics())
    .filter(({ name }) => read.has(name))
    .flatMap(partitionsOfTopic);
  const targets: Record<string, number> = {};
  for (const partition of partitions) {
    const id = `${partition.topic}-${partition.partition}`;
    const { start, end } = await log.offsets(partition);
    targets[id] = await firstUnseen(log, partition, held.get(id) ?? start, end, snapshot, signal);
  }
  return targets;
}

/** Where the processor that is least far rests in each partition; a shared topic may have several. */
function heldOffsets(processors: OperationContext['statuses']['processors']): Map<string, number> {
  const held = new Map<string, number>();
  for (const { topic, partition, offset } of processors
    .flatMap(({ tasks }) => tasks)
    .flatMap(({ partitions }) => partitions)) {
    const id = `${topic}-${partition}`;
    held.set(id, Math.min(offset, held.get(id) ?? Infinity));
  }
  return held;
}

async function firstUnseen(
  log: EventLog,
  partition: TopicPartition,
  from: number,
  end: number,
  snapshot: TransactionSnapshot,
  signal: AbortSignal,
): Promise<number> {
  const { topic, partition: number } = partition;
  for await (const records of readTo(log, { ...partition, offset: from }, end, signal)) {
    for (const record of records) {
      const change = changeOf(topic, number, record);
      const xid = change?.op === 'r' ? undefined : change?.source.txId;
      if (xid !== undefined && xid !== null && !snapshot.sees(xid)) return record.offset;
    }
  }
  signal.throwIfAborted();
  return Math.max(from, end);
}

/** A record that is no change is a dead letter, wherever the processor rests. */
function changeOf(...[topic, partition, record]: Parameters<typeof decodeChange>) {
  try {
    return decodeChange(topic, partition, record);
  } catch {
    return undefined;
  }
}

function readerOf(store: Store, clock: () => number): StoreReader {
  return {
    async get(key) {
      const found = await store.get(key, clock());
      return found?.type === 'string' ? found.value : undefined;
    },
    async members(key) {
      const found = await store.get(key, clock());
      return found?.type === 'set' ? found.members : [];
    },
    keys: (prefix) => store.keys(prefix, clock()),
  };
}
