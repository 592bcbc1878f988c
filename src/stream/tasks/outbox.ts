import {
  BlockWriter,
  encodeHeaders,
  type Header,
  type WriterMark,
} from '../../domain/record-block.ts';
import { IdHeader } from './id-header.ts';
import { CAUSE_BYTES, encodeChunk, writeCause } from './outgoing-chunk.ts';

/** A chunk that has come to it takes no more records. So none has more header sets than a block may. */
const CHUNK_BYTES = 1 << 20;
/** Of one partition, what is kept for the next chunk; and of how many partitions. */
const KEPT_BYTES = 2 * CHUNK_BYTES;
const KEPT_LANES = 64;

/** Before any cause. */
const NOWHERE = NaN;

/**
 * Collects what a task puts out until its commit, in chunks. What was put since the last `keep` can
 * be taken back.
 *
 * HOT PATH. Each record that a task puts out is encoded here, once, as it will be in the log; its
 * header of its own is most of what that costs beside copying its bytes.
 */
export class Outbox {
  readonly #ids: IdHeader;
  #full: Uint8Array[] = [];
  /** Those after the first are of the record at hand. */
  #chunks: ChunkWriter[] = [];
  #spare: ChunkWriter | undefined;
  /** Written to since the last `keep`. */
  readonly #touched: Lane[] = [];
  #step: string | undefined;
  #offset = NOWHERE;
  #tick = 0;
  /** Of the next record: its number among those of its cause, or of the step; and the one in its id. */
  #index = 0;
  #idIndex = 0;
  /** Dead letters of this cause. */
  #letters = 0;
  /** As they were when something was kept last. */
  #keptOffset = NOWHERE;
  #keptTick = 0;
  #keptIndex = 0;
  #keptIdIndex = 0;

  constructor(task: string) {
    this.#ids = new IdHeader(task);
  }

  /** All that is put until the next `seal` is done by this step of an operator's order. */
  beginReplay(step: string): void {
    this.#encode(this.#chunks.length);
    this.#step = step;
    this.#index = 0;
  }

  /** What is put from now on is caused by the record at `offset`, or by the time that passed after it. */
  begin(offset: number, tick: number): void {
    if (offset === this.#offset && tick === this.#tick) return;
    this.#offset = offset;
    this.#tick = tick;
    this.#idIndex = 0;
    this.#letters = 0;
    if (this.#step === undefined) this.#index = 0;
    this.#ids.begin(offset, tick);
  }

  put(
    topic: string,
    partition: number,
    key: Uint8Array | string | null,
    value: Uint8Array | string | null,
    timestampMs: number,
    headers: readonly Header[],
    isDeadLetter = false,
  ): void {
    const lane = this.#lane(topic, partition);
    const { writer, chunk } = lane;
    const before = writer.size;
    const ids = this.#ids;
    if (isDeadLetter) ids.end(this.#letterName());
    else ids.number(this.#idIndex);
    const headerSet =
      headers.length === 0
        ? writer.addHeaderSet(ids.bytes, ids.length)
        : writer.addHeaderSet(encodeHeaders([...headers, ids.header]));
    writer.put(key, value, timestampMs, headerSet);
    const isInTurn = this.#step === undefined;
    lane.addCause(isInTurn ? this.#offset : 0, isInTurn ? this.#tick : 0, this.#index);
    chunk.bytes += writer.size - before + CAUSE_BYTES;
    this.#index += 1;
    this.#idIndex += 1;
  }

  keep(): void {
    if (this.#touched.length === 0) return;
    for (const lane of this.#touched) lane.mark = undefined;
    this.#touched.length = 0;
    const { length } = this.#chunks;
    const last = this.#chunks[length - 1];
    if (last !== undefined && last.bytes >= CHUNK_BYTES) this.#encode(length);
    else if (length > 1) this.#encode(length - 1);
    this.#keptOffset = this.#offset;
    this.#keptTick = this.#tick;
    this.#keptIndex = this.#index;
    this.#keptIdIndex = this.#idIndex;
  }

  undo(): void {
    if (this.#touched.length === 0) return;
    for (const lane of this.#touched) lane.undo();
    this.#touched.length = 0;
    this.#chunks.length = 1;
    this.begin(this.#keptOffset, this.#keptTick);
    this.#index = this.#keptIndex;
    this.#idIndex = this.#keptIdIndex;
  }

  /** All that was kept, and nothing is in it any more. */
  seal(): readonly Uint8Array[] {
    this.undo();
    this.#encode(this.#chunks.length);
    const sealed = this.#full;
    this.clear();
    return sealed;
  }

  clear(): void {
    this.#full = [];
    this.#chunks = [];
    this.#touched.length = 0;
    this.#step = undefined;
    this.#offset = this.#keptOffset = NOWHERE;
    this.#index = this.#keptIndex = 0;
    this.#idIndex = this.#keptIdIndex = 0;
  }

  #letterName(): string {
    this.#letters += 1;
    return this.#letters === 1 ? 'dead-letter' : `dead-letter-${this.#letters}`;
  }

  #lane(topic: string, partition: number): Lane {
    let chunk = this.#chunks[this.#chunks.length - 1];
    if (chunk === undefined || chunk.bytes >= CHUNK_BYTES) {
      chunk = this.#spare ?? new ChunkWriter();
      this.#spare = undefined;
      this.#chunks.push(chunk);
    }
    const lane = chunk.lane(topic, partition);
    if (lane.mark === undefined) {
      lane.mark = lane.writer.mark();
      this.#touched.push(lane);
    }
    return lane;
  }

  /** Ends the oldest chunks. */
  #encode(count: number): void {
    for (const chunk of this.#chunks.splice(0, count)) {
      if (chunk.bytes > 0) this.#full.push(chunk.take(this.#step));
      this.#spare = chunk;
    }
  }
}

/** A chunk that grows. */
class ChunkWriter {
  bytes = 0;
  readonly #topics = new Map<string, (Lane | undefined)[]>();
  #lanes: Lane[] = [];

  lane(topic: string, partition: number): Lane {
    let lanes = this.#topics.get(topic);
    if (lanes === undefined) this.#topics.set(topic, (lanes = []));
    let lane = lanes[partition];
    if (lane === undefined) {
      lanes[partition] = lane = new Lane(this, topic, partition);
      this.#lanes.push(lane);
    }
    return lane;
  }

  /** The chunk, encoded; the writer is empty afterwards. */
  take(replay: string | undefined): Uint8Array {
    const lanes = this.#lanes.filter(({ writer }) => writer.count > 0);
    const chunk = encodeChunk({ replay, parts: lanes.map((lane) => lane.take()) });
    this.bytes = 0;
    if (this.#lanes.length > KEPT_LANES) {
      this.#lanes = [];
      this.#topics.clear();
    }
    return chunk;
  }
}

/** The records of one partition in a chunk that grows. */
class Lane {
  readonly chunk: ChunkWriter;
  readonly writer = new BlockWriter(1024);
  /** What there was at the last `keep`, if more came since. */
  mark: WriterMark | undefined;
  readonly #topic: string;
  readonly #partition: number;
  #causes = Buffer.allocUnsafeSlow(16 * CAUSE_BYTES);

  constructor(chunk: ChunkWriter, topic: string, partition: number) {
    this.chunk = chunk;
    this.#topic = topic;
    this.#partition = partition;
  }

  /** Of the record that was written last. */
  addCause(offset: number, tick: number, index: number): void {
    const { count } = this.writer;
    if (count * CAUSE_BYTES > this.#causes.length) {
      this.#causes = Buffer.concat([this.#causes], this.#causes.length * 2);
    }
    writeCause(this.#causes, count - 1, offset, tick, index);
  }

  undo(): void {
    const { mark, writer } = this;
    if (mark === undefined) return;
    const { size, count } = writer;
    writer.restore(mark);
    this.chunk.bytes -= size - writer.size + (count - writer.count) * CAUSE_BYTES;
    this.mark = undefined;
  }

  /** Views of its own memory, good until it is written to again. */
  take(): Parameters<typeof encodeChunk>[0]['parts'][number] {
    const block = this.writer.take(this.#topic, this.#partition, 0);
    if (block.bytes.buffer.byteLength <= KEPT_BYTES) {
      this.writer.bytes = Buffer.from(block.bytes.buffer);
    }
    return { block, causes: this.#causes.subarray(0, block.count * CAUSE_BYTES) };
  }
}
