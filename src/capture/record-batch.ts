import { BlockWriter, type Header, type RecordBlock } from '../domain/record-block.ts';

/** Buffers larger than this are not kept for reuse. */
const MAX_REUSED_BYTES = 8 << 20;
const MAX_REUSED_BUFFERS = 8;

/** One partition's share of the batch that is being filled. */
type Part = Readonly<{ topic: string; partition: number; writer: BlockWriter }>;

/** Where the records of one topic go: a writer a partition, good for the batch's whole life. */
export type TopicWriters = readonly BlockWriter[];

/**
 * The records that go into the next append, of all topics. Its bytes bound the memory of capture:
 * while one batch is appended, the next is filled, and then reading waits.
 */
export class RecordBatch {
  readonly headers: readonly Header[];
  readonly #parts: Part[] = [];
  readonly #topics = new Map<string, TopicWriters>();
  #reusable: Buffer[] = [];

  /** `headers` stand on every record that has none of its own, as header set 0. */
  constructor(headers: readonly Header[]) {
    this.headers = headers;
  }

  writers(topic: string, partitions: number): TopicWriters {
    const known = this.#topics.get(topic);
    if (known !== undefined) return known;
    const writers = Array.from({ length: partitions }, (_, partition) => {
      const writer = new BlockWriter();
      writer.headerSet(this.headers);
      this.#parts.push({ topic, partition, writer });
      return writer;
    });
    this.#topics.set(topic, writers);
    return writers;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { writer } of this.#parts) bytes += writer.size;
    return bytes;
  }

  get isEmpty(): boolean {
    return this.#parts.every(({ writer }) => writer.count === 0);
  }

  /** The blocks so far; the batch is empty afterwards, and goes on in other buffers. */
  take(): RecordBlock[] {
    const blocks: RecordBlock[] = [];
    for (const { topic, partition, writer } of this.#parts) {
      if (writer.count === 0) continue;
      blocks.push(writer.take(topic, partition, this.#reusable.pop()));
      writer.headerSet(this.headers);
    }
    return blocks;
  }

  /** Gives back the buffers of blocks that are durable, so that they are filled again. */
  reuse(blocks: readonly RecordBlock[]): void {
    for (const { bytes } of blocks) {
      if (bytes.buffer.byteLength > MAX_REUSED_BYTES) continue;
      if (this.#reusable.length >= MAX_REUSED_BUFFERS) return;
      this.#reusable.push(Buffer.from(bytes.buffer));
    }
  }
}
