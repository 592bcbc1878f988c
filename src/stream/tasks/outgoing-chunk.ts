import type { RecordBlock } from '../../domain/record-block.ts';

/*
 * What a task puts out waits in the store, in chunks: the records of a commit, or of a part of one,
 * as blocks that are appended to the log as they are.
 *
 *   chunk  := stepLength i32 | step | part*
 *   part   := topicLength u32 | topic | partition u32 | count u32 | blockLength u32 | cause* | block
 *   cause  := offset f64 | tick u32 | index u32
 *
 * Little endian. `step` is the step of an operator's order that all of the chunk comes from, and
 * then the causes have an index only; a length of -1 says that they come in their turn. The causes
 * of a part are those of the records in its block, and ascend.
 */
export const CAUSE_BYTES = 16;

/** What had a task put records out in its turn; `index` numbers those of one cause, from 0. */
export type InTurn = Readonly<{
  /** Of the task's partition. */
  offset: number;
  /** Where it is not the record itself, but time that passed after it: a number above 0 that grows. */
  tick?: number;
  index: number;
}>;

/** A step of an operator's order to process parked records again, named as no other step is. */
export type InReplay = Readonly<{ replay: string; index: number }>;

/** The records of one partition. */
export type ChunkPart = Readonly<{ block: RecordBlock; causes: Uint8Array }>;

export type OutgoingChunk = Readonly<{
  /** The step that all of it comes from; undefined: in turn. */
  replay: string | undefined;
  parts: readonly ChunkPart[];
}>;

export function encodeChunk({ replay, parts }: OutgoingChunk): Uint8Array {
  const step = Buffer.from(replay ?? '');
  const topics = parts.map(({ block }) => Buffer.from(block.topic));
  const length = parts.reduce(
    (sum, { block, causes }, at) =>
      sum + 16 + (topics[at]?.length ?? 0) + causes.length + block.bytes.length,
    4 + step.length,
  );
  const chunk = Buffer.allocUnsafeSlow(length);
  let cursor = chunk.writeInt32LE(replay === undefined ? -1 : step.length, 0);
  const put = (bytes: Uint8Array): void => {
    chunk.set(bytes, cursor);
    cursor += bytes.length;
  };
  put(step);
  for (const [at, { block, causes }] of parts.entries()) {
    const topic = topics[at] ?? step;
    cursor = chunk.writeUInt32LE(topic.length, cursor);
    put(topic);
    cursor = chunk.writeUInt32LE(block.partition, cursor);
    cursor = chunk.writeUInt32LE(block.count, cursor);
    cursor = chunk.writeUInt32LE(block.bytes.length, cursor);
    put(causes);
    put(block.bytes);
  }
  return chunk;
}

/** The parts are views of `bytes`. */
export function decodeChunk(bytes: Uint8Array): OutgoingChunk {
  const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let cursor = 4;
  const take = (length: number): Buffer => {
    cursor += length;
    return chunk.subarray(cursor - length, cursor);
  };
  const stepLength = chunk.readInt32LE(0);
  const replay = stepLength < 0 ? undefined : take(stepLength).toString();
  const parts: ChunkPart[] = [];
  while (cursor < chunk.length) {
    const topic = take(take(4).readUInt32LE()).toString();
    const [partition, count, length] = [take(4), take(4), take(4)].map((each) =>
      each.readUInt32LE(),
    ) as [number, number, number];
    const causes = take(count * CAUSE_BYTES);
    parts.push({ block: { topic, partition, count, bytes: take(length) }, causes });
  }
  return { replay, parts };
}

export function writeCause(
  causes: Buffer,
  number: number,
  offset: number,
  tick: number,
  index: number,
): void {
  const at = number * CAUSE_BYTES;
  causes.writeDoubleLE(offset, at);
  causes.writeUInt32LE(tick, at + 8);
  causes.writeUInt32LE(index, at + 12);
}

export function causeAt(causes: Uint8Array, number: number): Required<InTurn> {
  const view = new DataView(causes.buffer, causes.byteOffset + number * CAUSE_BYTES, CAUSE_BYTES);
  return {
    offset: view.getFloat64(0, true),
    tick: view.getUint32(8, true),
    index: view.getUint32(12, true),
  };
}

/** The first and the last cause of a chunk, which is not empty. */
export function causesOf({ parts }: OutgoingChunk): Readonly<{
  first: Required<InTurn>;
  last: Required<InTurn>;
}> {
  const firsts = parts.map(({ causes }) => causeAt(causes, 0));
  const lasts = parts.map(({ block, causes }) => causeAt(causes, block.count - 1));
  return {
    first: firsts.reduce((a, b) => (isAfter(a, b) ? b : a)),
    last: lasts.reduce((a, b) => (isAfter(a, b) ? a : b)),
  };
}

/** Of two causes in turn, whether the first one came later. */
export function isAfter(a: InTurn, b: InTurn): boolean {
  if (a.offset !== b.offset) return a.offset > b.offset;
  const [tick, other] = [a.tick ?? 0, b.tick ?? 0];
  return tick === other ? a.index > b.index : tick > other;
}
