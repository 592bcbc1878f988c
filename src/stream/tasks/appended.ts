import { BlockWriter, decodeBlock, type RecordBlock } from '../../domain/record-block.ts';
import { causeAt, causesOf, type InReplay, type InTurn, isAfter } from './outgoing-chunk.ts';
import type { ChunkPart, OutgoingChunk } from './outgoing-chunk.ts';

/**
 * The last records of a task that are in the log, by what caused them: of those processed in their
 * turn, and of parked ones that were processed again. Stored as the position of the task's
 * producer, with the records.
 */
export type Appended = Readonly<{ turn?: InTurn; replay?: InReplay }>;

export function parseAppended(position: string | undefined): Appended {
  return position === undefined ? {} : (JSON.parse(position) as Appended);
}

/**
 * Those of a task's oldest outgoing records that are not in the log yet.
 *
 * The numbers that the store gives would not tell: a store that lost commits gives them out again,
 * and an operator's order need not come again. So a record is known by its cause.
 * - In turn, records come in the order of their causes in every life of the store: what is not
 *   after the last one appended was appended. Not so an output at one of the offsets `parked`:
 *   there a dead letter was appended, in a life in which the record was parked.
 * - An order has a name of its own, and is never obeyed twice: the record of it that was appended
 *   last, and those of orders before it, are in the log. After a store forgot an order, an operator
 *   gives another, and what it puts out is appended again, with the same `millrace.id`.
 *
 * Only a chunk of which a part may be in the log is looked into: any other is appended as it is.
 */
export function notAppended(
  chunks: readonly OutgoingChunk[],
  { turn, replay }: Appended,
  { deadLetterTopic, parked }: Readonly<{ deadLetterTopic: string; parked: ReadonlySet<number> }>,
): readonly RecordBlock[] {
  const lastReplayed = lastReplayedOf(chunks, replay);
  return chunks.flatMap((chunk, at) => {
    const { parts } = chunk;
    if (chunk.replay !== undefined) {
      if (at > lastReplayed) return blocks(parts);
      if (at < lastReplayed || replay === undefined) return [];
      return filtered(parts, ({ index }) => index > replay.index);
    }
    if (turn === undefined || isAfter(causesOf(chunk).first, turn)) return blocks(parts);
    return filtered(
      parts,
      (cause, topic) =>
        isAfter(cause, turn) || (topic !== deadLetterTopic && parked.has(cause.offset)),
    );
  });
}

/** Whether a record is processed once more in its turn, so that `notAppended` must know what was parked. */
export function isTurnRepeated(chunks: readonly OutgoingChunk[], { turn }: Appended): boolean {
  if (turn === undefined) return false;
  return chunks.some(
    (chunk) => chunk.replay === undefined && !isAfter(causesOf(chunk).first, turn),
  );
}

/** What is in the log once all of these chunks are. */
export function withAppended(appended: Appended, chunks: readonly OutgoingChunk[]): Appended {
  let { turn, replay } = appended;
  const lastReplayed = lastReplayedOf(chunks, replay);
  for (const [at, chunk] of chunks.entries()) {
    const { last } = causesOf(chunk);
    if (chunk.replay !== undefined) {
      const isKnown = at <= lastReplayed && appended.replay !== undefined;
      if (isKnown && (at < lastReplayed || last.index <= appended.replay.index)) continue;
      replay = { replay: chunk.replay, index: last.index };
    } else if (turn === undefined || isAfter(last, turn)) turn = inTurn(last);
  }
  return { ...(turn && { turn }), ...(replay && { replay }) };
}

/** The chunk that holds the record of an order that was appended last, if it is still there. */
function lastReplayedOf(chunks: readonly OutgoingChunk[], last: InReplay | undefined): number {
  if (last === undefined) return -1;
  return chunks.findLastIndex(
    (chunk) => chunk.replay === last.replay && causesOf(chunk).first.index <= last.index,
  );
}

function blocks(parts: readonly ChunkPart[]): readonly RecordBlock[] {
  return parts.map(({ block }) => block);
}

function filtered(
  parts: readonly ChunkPart[],
  isWanted: (cause: Required<InTurn>, topic: string) => boolean,
): readonly RecordBlock[] {
  return parts
    .map(({ block: { topic, partition, bytes }, causes }) => {
      const writer = new BlockWriter(bytes.length);
      for (const record of decodeBlock(bytes, 0)) {
        if (isWanted(causeAt(causes, record.offset), topic)) writer.add(record);
      }
      return writer.take(topic, partition, 0);
    })
    .filter(({ count }) => count > 0);
}

function inTurn({ offset, tick, index }: Required<InTurn>): InTurn {
  return tick === 0 ? { offset, index } : { offset, tick, index };
}
