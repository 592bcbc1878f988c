import { createHash } from 'node:crypto';
import type { Header, LogRecord } from '../../domain/record-block.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import type { OutgoingRecord } from '../processor.ts';
import { storedTasks } from '../rebuild/generation-state.ts';
import type { Failure } from './failure.ts';
import { BARRIER, KEYLESS, type ParkedGroup } from './parked-keys.ts';
import { bytesOf, type RecordText, textOf } from './record-text.ts';
import { RESERVED } from './state-overlay.ts';

/** A record that failed, or that waits behind one of its key that did. */
export type ParkedRecord = RecordText &
  Readonly<{
    task: string;
    topic: string;
    partition: number;
    offset: number;
    timestampMs: number;
    headers: readonly Header[];
    /** The last failure; undefined for a record that was not tried since it waits. */
    failure: Failure | undefined;
    /** The offset of the record that it waits for. */
    waitsBehind: number | undefined;
  }>;

/** The records that a processor's tasks have parked, those of a key together and in order. */
export async function* listParked(
  store: Store,
  processor: string,
): AsyncGenerator<ParkedRecord, void, undefined> {
  for (const { task, id } of await storedTasks(store, processor)) {
    let first: { group: ParkedGroup; offset: number } | undefined;
    for await (const { group, record, failure } of parkedIn(store, task)) {
      if (first?.group !== group) first = { group, offset: record.offset };
      const isFirst = group === KEYLESS || first.offset === record.offset;
      yield {
        ...record,
        ...textOf(record),
        ...partitionOf(id),
        task,
        failure,
        waitsBehind: isFirst ? undefined : first.offset,
      };
    }
  }
}

/** What a task has parked, as its state keeps it: group by group, each in the order of offsets. */
export async function* parkedIn(
  store: Store,
  task: string,
): AsyncGenerator<ReturnType<typeof decodeParked>, void, undefined> {
  for await (const [, value] of store.range(task, PREFIX)) yield decodeParked(value);
}

const PREFIX = `${RESERVED}parked/`;

/** The state key of a parked record. A hash stands for the record's key, which may be too long. */
export function parkedStateKey(group: ParkedGroup, offset: number): string {
  const name =
    group === KEYLESS || group === BARRIER
      ? group
      : createHash('sha256').update(group).digest('hex').slice(0, 32);
  return `${PREFIX}${name}/${String(offset).padStart(16, '0')}`;
}

export function encodeParked(
  group: ParkedGroup,
  record: LogRecord,
  failure: Failure | undefined,
): string {
  const { offset, timestampMs, headers } = record;
  return JSON.stringify({ group, offset, timestampMs, headers, ...textOf(record), failure });
}

export function decodeParked(
  stateValue: string,
): Readonly<{ group: ParkedGroup; record: LogRecord; failure: Failure | undefined }> {
  const { group, offset, timestampMs, headers, failure, ...text } = JSON.parse(
    stateValue,
  ) as RecordText &
    Pick<LogRecord, 'offset' | 'timestampMs' | 'headers'> & { group: string; failure?: Failure };
  return { group, record: { offset, timestampMs, headers, ...bytesOf(text) }, failure };
}

/** Why a record is in the dead-letter topic. */
export type DeadLetterReason =
  | Failure
  /** An earlier record of its key is parked. */
  | Readonly<{ stage: 'order'; behind: number }>
  /** A truncate that removed the rows which so many parked records were about, and them with it. */
  | Readonly<{ stage: 'truncate'; dropped: number }>;

/**
 * The original with the reason in headers, as Kafka Connect names them. Bytes that are not UTF-8
 * are in base64, which `millrace.base64` then says.
 */
export function deadLetter(
  record: LogRecord,
  reason: DeadLetterReason,
  from: TopicPartition & Readonly<{ processor: string; task: string }>,
): Omit<OutgoingRecord, 'topic' | 'partition'> {
  const { key, value, base64 } = textOf(record);
  const { name, message, stack } = explained(reason);
  const headers: (Header | false)[] = [
    ...record.headers,
    ['__connect.errors.topic', from.topic],
    ['__connect.errors.partition', String(from.partition)],
    ['__connect.errors.offset', String(record.offset)],
    ['__connect.errors.connector.name', from.processor],
    ['__connect.errors.task.id', from.task],
    ['__connect.errors.stage', reason.stage],
    ['__connect.errors.exception.class.name', name],
    ['__connect.errors.exception.message', message],
    ['__connect.errors.exception.stacktrace', stack],
    'step' in reason && reason.step !== undefined && ['millrace.step', reason.step],
    base64.length > 0 && ['millrace.base64', base64.join(',')],
  ];
  return {
    key,
    value,
    headers: headers.filter((header) => header !== false),
    timestampMs: record.timestampMs,
  };
}

/** The offset of the record that this dead letter of the task says was parked; undefined for any other record. */
export function parkedOffsetOf({ headers }: LogRecord, task: string): number | undefined {
  const facts = new Map(headers);
  const stage = facts.get('__connect.errors.stage');
  const isOurs = facts.get('__connect.errors.task.id') === task;
  const isParked = stage !== 'truncate' && stage !== 'timer';
  return isOurs && isParked ? Number(facts.get('__connect.errors.offset')) : undefined;
}

function explained(reason: DeadLetterReason): Pick<Failure, 'name' | 'message' | 'stack'> {
  if (reason.stage === 'order') {
    return { name: 'KeyParked', message: `waits behind offset ${reason.behind}`, stack: '' };
  }
  if (reason.stage === 'truncate') {
    const message = `dropped ${reason.dropped} parked records of rows that this truncate removed`;
    return { name: 'RowsTruncated', message, stack: '' };
  }
  return reason;
}

function partitionOf(id: string): TopicPartition {
  const dash = id.lastIndexOf('-');
  return { topic: id.slice(0, dash), partition: Number(id.slice(dash + 1)) };
}
