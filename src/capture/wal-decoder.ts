import { lsnOf } from '../domain/lsn.ts';
import type { WalBatch } from '../ports/change-source.ts';
import type { ChangeEncoder } from './change-encoder.ts';
import { readRelation, type RelationShape } from './relation.ts';
import type { TransactionTracker } from './transaction.ts';
import {
  BEGIN,
  COMMIT,
  DELETE,
  INSERT,
  KEEPALIVE,
  readTimeUs,
  readUint64,
  RELATION,
  TRUNCATE,
  UPDATE,
  XLOG_HEADER_BYTES,
} from './wal-message.ts';

/** Why decoding stopped before the end of a batch, if it did. */
export type Halt =
  /** All messages are decoded. */
  | Readonly<{ why: 'end' }>
  /** The relation must be learnt before the next message. */
  | Readonly<{ why: 'relation'; shape: RelationShape; next: number }>
  /** A commit or keepalive: a place where other work may come between. */
  | Readonly<{ why: 'boundary'; next: number }>
  /** The records so far take as much room as they may. */
  | Readonly<{ why: 'full'; next: number }>;

const END: Halt = { why: 'end' };
/** Asking how full the batch is costs more than a message. */
const MESSAGES_BETWEEN_CHECKS = 64;

/** Reads messages of the WAL one after another, and hands data messages to the encoder. HOT PATH. */
export class WalDecoder {
  readonly #encoder: ChangeEncoder;
  readonly #transaction: TransactionTracker;
  readonly #isFull: () => boolean;
  /** Stop at each boundary. */
  stopsAtBoundaries = false;
  /** The server's end of WAL, as the last message told it. */
  serverEnd = 0;
  /** Set when the position moved on without a change. */
  hasMoved = false;

  constructor(encoder: ChangeEncoder, transaction: TransactionTracker, isFull: () => boolean) {
    this.#encoder = encoder;
    this.#transaction = transaction;
    this.#isFull = isFull;
  }

  /** Decodes from message `first` on. */
  decode(wal: WalBatch, first: number): Halt {
    const { bytes, bounds, count } = wal;
    const transaction = this.#transaction;
    let untilCheck = MESSAGES_BETWEEN_CHECKS;
    for (let index = first; index < count; index += 1) {
      const start = bounds[2 * index] as number;
      if (bytes[start] === KEEPALIVE) {
        this.serverEnd = readUint64(bytes, start + 1);
        const end = lsnOf(bytes.readUInt32BE(start + 1), bytes.readUInt32BE(start + 5));
        if (transaction.keepalive(end)) this.hasMoved = true;
        if (this.stopsAtBoundaries) return { why: 'boundary', next: index + 1 };
        continue;
      }
      const at = start + XLOG_HEADER_BYTES;
      const tag = bytes[at] as number;
      switch (tag) {
        case INSERT:
        case UPDATE:
        case DELETE:
        case TRUNCATE: {
          if (!transaction.next()) break;
          const lsn = readUint64(bytes, start + 1);
          const end = bounds[2 * index + 1] as number;
          this.#encoder.message(tag, bytes, at, end, transaction.origin, lsn);
          break;
        }
        case BEGIN:
          transaction.begin(
            bytes.readUInt32BE(at + 1),
            bytes.readUInt32BE(at + 5),
            readTimeUs(bytes, at + 9),
            bytes.readUInt32BE(at + 17),
          );
          break;
        case COMMIT:
          transaction.commit(lsnOf(bytes.readUInt32BE(at + 10), bytes.readUInt32BE(at + 14)));
          this.serverEnd = readUint64(bytes, start + 9);
          this.hasMoved = true;
          if (this.stopsAtBoundaries) return { why: 'boundary', next: index + 1 };
          break;
        case RELATION:
          return { why: 'relation', shape: readRelation(bytes, at + 1), next: index + 1 };
        default: // types and origins say nothing that is needed here
      }
      untilCheck -= 1;
      if (untilCheck === 0) {
        untilCheck = MESSAGES_BETWEEN_CHECKS;
        if (this.#isFull()) return { why: 'full', next: index + 1 };
      }
    }
    return END;
  }
}
