import { createHash } from 'node:crypto';
import { MillraceError } from '../../domain/errors.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import { parseExactJson } from '../../lib/exact-json.ts';
import { must } from '../../lib/must.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { readTo } from '../../ports/read-to.ts';
import type { Sink, SinkAccount, SinkBatch, SinkRecord, SinkWriter } from '../../ports/sink.ts';
import type { StateWrite } from '../../ports/store.ts';
import { type Failure, failureOf } from '../tasks/failure.ts';
import type {
  HandlerParts,
  Prepared,
  RecordHandler,
  TaskSubject,
} from '../tasks/record-handler.ts';
import { textOf } from '../tasks/record-text.ts';

/** By which the record's writer told it from all others. */
const ID_HEADER = 'millrace.id';

/** Hands the records of a topic to a sink. */
export type SinkProcessor = Readonly<{ name: string; topic: string; sink: Sink }>;

export function sinkSubject({ name, topic, sink }: SinkProcessor, log: EventLog): TaskSubject {
  return {
    name,
    topics: [topic],
    upstreamOf: () => [],
    // What a sink reads comes from no table.
    wantsCopies: () => false,
    tickTopic: undefined,
    open: (parts) => new SinkHandler(sink, log, parts),
  };
}

/**
 * Has a sink take records before the task's offset is committed. What a sink refuses has failed, as
 * with any processor: it is parked, and its key with it.
 *
 * The task may die between the sink's step and its own, and its store may lose commits: then records
 * come again that the sink has. One that keeps an account says which those are, and they are not
 * written again; another is given them again, under the same ids.
 */
class SinkHandler implements RecordHandler {
  readonly #sink: Sink;
  readonly #log: EventLog;
  readonly #parts: HandlerParts;
  #signal = AbortSignal.abort();
  #writer: SinkWriter | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #beginsAt: number | undefined;

  constructor(sink: Sink, log: EventLog, parts: HandlerParts) {
    this.#sink = sink;
    this.#log = log;
    this.#parts = parts;
  }

  /** Fails with `sink_of_other_log` where the sink's account is of none that this log ever was. */
  async load(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await this.#close();
    signal.addEventListener('abort', () => void this.#close(), { once: true });
    this.#writer = await this.#stoppable(this.#sink.open(this.#parts.task, signal));
    if (signal.aborted) return this.#close();
    await this.#compare(this.#writer.account);
  }

  /** A sink that was put back to an older state, or emptied with its account, is given again what it lacks. */
  beginsAt(): number | undefined {
    return this.#beginsAt;
  }

  async prepare(
    records: readonly LogRecord[],
    waits: (record: LogRecord) => boolean,
  ): Promise<readonly Prepared[]> {
    // The writer is closed by now.
    this.#signal.throwIfAborted();
    const failures = new Map<number, Failure>();
    const batch = this.#batchOf(records, waits, failures);
    if (batch !== undefined) {
      const writer = must(this.#writer, 'it was loaded');
      const writing = writer.write(batch, this.#signal);
      this.#writing = writing.catch(() => undefined);
      for (const { offset, name, message } of await this.#stoppable(writing))
        failures.set(offset, { stage: 'sink', name, message, stack: '' });
    }
    return records.map((record) => ({
      record,
      does: 'change',
      item: undefined,
      failure: failures.get(record.offset),
    }));
  }

  attempt({ failure }: Prepared): Failure | undefined {
    return failure;
  }

  seal(): readonly StateWrite[] {
    return [];
  }

  committed(): void {}

  /** What the sink has to be told of these records; undefined: nothing. */
  #batchOf(
    records: readonly LogRecord[],
    waits: (record: LogRecord) => boolean,
    failures: Map<number, Failure>,
  ): SinkBatch | undefined {
    const account = this.#writer?.account;
    const due: SinkRecord[] = [];
    const leftOut: number[] = [];
    const unreadable = new Set<string>();
    for (const record of records) {
      const { offset } = record;
      if (isTaken(account, offset)) continue;
      const key = textOf(record).key;
      if (waits(record) || (key !== null && unreadable.has(key))) {
        leftOut.push(offset);
        continue;
      }
      try {
        due.push(this.#decoded(record, key));
      } catch (error) {
        failures.set(offset, failureOf('decode', error));
        if (key !== null) unreadable.add(key);
        leftOut.push(offset);
      }
    }
    const last = records.at(-1);
    if (last === undefined) return undefined;
    const isAhead = account === undefined || account.next <= last.offset;
    const place = isAhead ? { next: last.offset + 1, mark: markOf(last) } : account;
    const tellsNothing = !isAhead && leftOut.every((offset) => account.leftOut.has(offset));
    if (due.length === 0 && tellsNothing) return undefined;
    return { records: due, leftOut, next: place.next, mark: place.mark };
  }

  #decoded(record: LogRecord, keyText: string | null): SinkRecord {
    const { offset, timestampMs, value, headers } = record;
    const id = headers.find(([name]) => name === ID_HEADER)?.[1];
    return {
      id: id ?? `${this.#parts.task}:${offset}`,
      offset,
      key: keyText === null ? null : jsonOrText(keyText),
      keyText,
      value: value === null ? null : parseExactJson(Buffer.from(value).toString()),
      timestampMs,
    };
  }

  async #compare(account: SinkAccount | undefined): Promise<void> {
    const { partition, store, task } = this.#parts;
    const { start, end } = await this.#log.offsets(partition);
    if (account !== undefined && !(await this.#knows(account, start, end)))
      throw new MillraceError('sink_of_other_log', {
        sink: this.#sink.description,
        task,
        offset: account.next,
      });
    this.#beginsAt = undefined;
    if (!this.#sink.keepsAccount) return;
    const stored = (await store.offsets(task))[`${partition.topic}-${partition.partition}`];
    const from = Math.max(start, account?.next ?? start);
    const lacks = stored !== undefined && (await this.#hasRecords(from, stored));
    this.#beginsAt = lacks ? from : undefined;
  }

  /** Whether the last record before `next` is the one that the sink was given, as far as the log still says. */
  async #knows({ next, mark }: SinkAccount, start: number, end: number): Promise<boolean> {
    if (next > end) return false;
    const offset = Number(mark.split(' ', 1)[0]);
    if (offset < start) return true;
    for await (const [record] of this.#read(offset, offset + 1))
      return record !== undefined && markOf(record) === mark;
    return this.#signal.aborted;
  }

  async #hasRecords(from: number, to: number): Promise<boolean> {
    for await (const records of this.#read(from, to)) if (records.length > 0) return true;
    return false;
  }

  #read(from: number, to: number): AsyncIterable<readonly LogRecord[]> {
    return readTo(this.#log, { ...this.#parts.partition, offset: from }, to, this.#signal);
  }

  /** Ends with the signal's reason where that is why it failed. */
  async #stoppable<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    }
  }

  async #close(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    await this.#writing;
    try {
      await writer?.[Symbol.asyncDispose]();
    } catch {
      // What it wrote is durable; a connection that does not end in order is ended all the same.
    }
  }
}

function isTaken(account: SinkAccount | undefined, offset: number): boolean {
  return account !== undefined && offset < account.next && !account.leftOut.has(offset);
}

/** Its offset, and a hash by which the record is known again. */
function markOf({ offset, timestampMs, key, value, headers }: LogRecord): string {
  const hash = createHash('sha256').update(JSON.stringify([timestampMs, headers, key === null]));
  if (key !== null) hash.update(key);
  hash.update('\0');
  if (value !== null) hash.update(value);
  return `${offset} ${hash.digest('base64url').slice(0, 16)}`;
}

function jsonOrText(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch {
    return text;
  }
}
