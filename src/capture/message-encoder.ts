import type { BlockWriter } from '../domain/record-block.ts';
import { murmur2 } from '../lib/murmur2.ts';
import { must } from '../lib/must.ts';
import type { EventLog } from '../ports/event-log.ts';
import {
  type BatchClock,
  type EnvelopeNames,
  type Origin,
  sourceAround,
} from './envelope-encoder.ts';
import type { MessageFilter } from './message-filter.ts';
import type { RecordBatch } from './record-batch.ts';

/** Content is turned into base64 in pieces: a text of all of it may be longer than a string can be. */
const PIECE_BYTES = 3 << 16;

/**
 * Writes logical messages as records of their topic, as Debezium does. The topic is declared when
 * there is a message for it: a source that emits none gets no topic.
 *
 * https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-message-events
 */
export class MessageEncoder {
  readonly #parts: Readonly<{
    names: EnvelopeNames;
    topic: string;
    partitions: number;
    filter: MessageFilter;
    clock: BatchClock;
    batch: RecordBatch;
    log: EventLog;
  }>;
  #isDeclared = false;
  /** Since the start. */
  written = 0;

  constructor(parts: {
    names: EnvelopeNames;
    topic: string;
    partitions: number;
    filter: MessageFilter;
    clock: BatchClock;
    batch: RecordBatch;
    log: EventLog;
  }) {
    this.#parts = parts;
  }

  /** Whether messages of this prefix are written. */
  wants(prefix: string): boolean {
    return this.#parts.filter.matches(prefix);
  }

  get isDeclared(): boolean {
    return this.#isDeclared;
  }

  /** Creates the topic when it is missing; to be awaited before the first `write`. */
  async declare(): Promise<void> {
    const { log, topic: name, partitions } = this.#parts;
    await log.createTopics([{ name, partitions, cleanup: 'delete' }]);
    this.#isDeclared = true;
  }

  write(prefix: string, content: Buffer, origin: Origin, lsn: number): void {
    const { names, clock } = this.#parts;
    // Before the first commit that is seen, there is no other time to tell.
    const known = origin.timeUs === 0 ? { ...origin, timeUs: clock.ms * 1000 } : origin;
    const [before, between] = sourceAround(names, known, '', '');
    const prefixText = JSON.stringify(prefix);
    const key = Buffer.from(`{"prefix":${prefixText}}`);
    const head = Buffer.from(
      `{"op":"m","ts_ms":${clock.ms}${before}\\"${lsn}\\"${between}${lsn}` +
        `,"xmin":null,"origin":null,"origin_lsn":null},"transaction":null` +
        `,"message":{"prefix":${prefixText},"content":"`,
    );
    const writer = this.#writerFor(key);
    writer.reserve(key.length + head.length + 64 + 4 * Math.ceil(content.length / 3));
    writer.beginRecord(writer.headerSet([]), clock.ms);
    writer.cursor += key.copy(writer.bytes, writer.cursor);
    writer.endKey();
    writer.cursor += head.copy(writer.bytes, writer.cursor);
    for (let at = 0; at < content.length; at += PIECE_BYTES) {
      const piece = content.toString('base64', at, Math.min(at + PIECE_BYTES, content.length));
      writer.cursor += writer.bytes.write(piece, writer.cursor, 'latin1');
    }
    writer.cursor += writer.bytes.write('"}}', writer.cursor, 'latin1');
    writer.endValue();
    writer.endRecord();
    this.written += 1;
  }

  #writerFor(key: Buffer): BlockWriter {
    const { batch, topic, partitions } = this.#parts;
    const partition =
      partitions === 1 ? 0 : (murmur2(key, 0, key.length) & 0x7fff_ffff) % partitions;
    return must(batch.writers(topic, partitions)[partition], 'there is a writer a partition');
  }
}
