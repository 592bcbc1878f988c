import { setTimeout as wait } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';
import type { Store } from '../../ports/store.ts';
import { partsOfTask } from '../../stream/rebuild/generation.ts';
import { listParked, type ParkedRecord as StoredRecord } from '../../stream/tasks/dead-letters.ts';
import { REPLAYS } from '../../stream/tasks/task.ts';
import { processorNames } from '../sinks.ts';
import { parsedOrText } from './consume.ts';
import { type OperationContext, refuseAbsent, runningIn, storeIn } from './operation-context.ts';
import type { ParkedOutcome, ParkedRecord, ParkedTarget } from './operations.ts';

/** How long a replay may take to show; what it does goes on after that. */
const OUTCOME_WAIT_MS = 10_000;
const LOOK_EVERY_MS = 100;

export async function* listDeadLetters(
  store: Store,
  asked: string | undefined,
): AsyncGenerator<ParkedRecord, void> {
  for (const processor of asked === undefined ? await processorsIn(store) : [asked])
    for await (const record of listParked(store, processor)) yield describe(processor, record);
}

export async function findDeadLetter(store: Store, id: string): Promise<ParkedRecord> {
  for await (const record of listDeadLetters(store, parseId(id).processor))
    if (record.id === id) return record;
  throw new MillraceError('usage', {
    expected: 'the id of a parked record, as `millrace dlq list` prints it',
    found: id,
  });
}

/** Replays or drops, and tells how many are parked once the processor has done so. */
export async function settleDeadLetters(
  action: 'replay' | 'drop',
  target: ParkedTarget,
  context: OperationContext,
  signal: AbortSignal,
): Promise<ParkedOutcome> {
  const { commands, pipeline } = runningIn(context);
  const store = storeIn(context);
  const processor = 'id' in target ? parseId(target.id).processor : target.processor;
  const known = processorNames(pipeline);
  if (!known.includes(processor))
    throw new MillraceError('usage', {
      expected: `a processor of this pipeline: ${known.join(', ')}`,
      found: processor,
    });
  refuseAbsent(context, `processor:${processor}`);
  const before = await fingerprint(store, processor);
  if ('id' in target) {
    const { topic, partition, key } = await findDeadLetter(store, target.id);
    await commands.send({ do: `dlq-${action}`, processor, topic, partition, key });
  } else {
    await commands.send({ do: `dlq-${action}-all`, processor });
  }
  const parkedAfter = await settled(store, processor, before, context.clock, signal);
  return { processor, parkedBefore: before.count, parkedAfter };
}

/**
 * A record that fails again looks as before: that it was tried shows in the count of replays. Two
 * equal looks in a row are the end of a change.
 */
async function settled(
  store: Store,
  processor: string,
  before: { count: number; text: string },
  clock: () => number,
  signal: AbortSignal,
): Promise<number> {
  const deadlineMs = clock() + OUTCOME_WAIT_MS;
  let last = before;
  for (;;) {
    await wait(LOOK_EVERY_MS, undefined, { signal });
    const now = await fingerprint(store, processor);
    const isDone = now.text !== before.text && now.text === last.text;
    if (isDone || now.count === 0 || clock() >= deadlineMs) return now.count;
    last = now;
  }
}

async function fingerprint(
  store: Store,
  processor: string,
): Promise<{ count: number; text: string }> {
  const seen: string[] = [];
  const tasks = new Set<string>();
  for await (const { task, offset, failure } of listParked(store, processor)) {
    seen.push(`${task}@${offset}:${failure?.message ?? ''}`);
    tasks.add(task);
  }
  const replays = [...tasks].map(async (task) => (await store.offsets(task))[REPLAYS] ?? 0);
  return { count: seen.length, text: [...seen, ...(await Promise.all(replays))].join('\n') };
}

async function processorsIn(store: Store): Promise<string[]> {
  const names = (await store.tasks()).map((task) => partsOfTask(task)?.processor);
  return [...new Set(names.filter((name) => name !== undefined))];
}

function describe(processor: string, record: StoredRecord): ParkedRecord {
  const { task, topic, partition, offset, key, value, failure, waitsBehind, timestampMs } = record;
  const error =
    failure === undefined
      ? waitsBehind === undefined
        ? {}
        : { error: `waits behind offset ${waitsBehind}` }
      : { error: `${failure.name}: ${failure.message}` };
  return {
    id: `${task}@${offset}`,
    processor,
    topic,
    partition,
    offset,
    key,
    failed: waitsBehind === undefined,
    timestamp: timestampMs,
    value: value === null ? null : parsedOrText(value),
    ...error,
  };
}

/** `<processor>/<topic>-<partition>@<offset>` */
function parseId(id: string): { processor: string } {
  const task = id.slice(0, Math.max(0, id.lastIndexOf('@')));
  const parts = partsOfTask(task);
  if (parts === undefined)
    throw new MillraceError('usage', {
      expected: '<processor>/<topic>-<partition>@<offset>',
      found: id,
    });
  return { processor: parts.processor };
}
