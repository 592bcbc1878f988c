import { lsnOf } from '../domain/lsn.ts';
import type { WalBatch } from '../ports/change-source.ts';
import type { ChangeEncoder } from './change-encoder.ts';
import type { MessageEncoder } from './message-encoder.ts';
import { readRelation, type RelationShape } from './relation.ts';
import type { TransactionTracker } from './transaction.ts';
import {
  BEGIN,
  COMMIT,
  DELETE,
  INSERT,
  KEEPALIVE,
  MESSAGE,
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
  /** The topic of logical messages must be there before the next message. */
  | Readonly<{ why: 'message-topic'; next: number }>
  /** A commit, a keepalive, a message of no transaction: a place where other work may come between. */
  | Readonly<{ why: 'boundary'; next: number }>
  /** The records so far take as much room as they may. */
  | Readonly<{ why: 'full'; next: number }>;

const END: Halt = { why: 'end' };
/** Asking how full the batch is costs more than a message. */
const MESSAGES_BETWEEN_CHECKS = 64;

/** Reads messages of the WAL one after another, and hands data messages to the encoder. HOT PATH. */
export class WalDecoder {
  readonly #encoder: ChangeEncoder;
  readonly #messages: MessageEncoder;
  readonly #transaction: TransactionTracker;
  readonly #isFull: () => boolean;
  /** Stop at each boundary. */
  stopsAtBoundaries = false;
  /** The server's end of WAL, as the last message told it. */
  serverEnd = 0;
  /** Set when the position moved on without a change. */
  hasMoved = false;

  constructor(parts: {
    encoder: ChangeEncoder;
    messages: MessageEncoder;
    transaction: TransactionTracker;
    isFull: () => boolean;
  }) {
    this.#encoder = parts.encoder;
    this.#messages = parts.messages;
    this.#transaction = parts.transaction;
    this.#isFull = parts.isFull;
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
        case MESSAGE: {
          const end = bounds[2 * index + 1] as number;
          if (!this.#message(bytes, start, end)) return { why: 'message-topic', next: index };
          if (this.stopsAtBoundaries && !transaction.isOpen)
            return { why: 'boundary', next: index + 1 };
          break;
        }
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

  /** False when the topic is missing that it is to be written to: then nothing has happened. */
  #message(bytes: Buffer, start: number, end: number): boolean {
    const at = start + XLOG_HEADER_BYTES;
    const prefixAt = at + 10;
    const prefixEnd = bytes.indexOf(0, prefixAt);
    const prefix = bytes.toString('utf8', prefixAt, prefixEnd);
    const isWanted = this.#messages.wants(prefix);
    if (isWanted && !this.#messages.isDeclared) return false;
    const transaction = this.#transaction;
    const isOfTransaction = bytes[at + 1] === 1;
    const isNew = isOfTransaction
      ? transaction.nextLogical()
      : transaction.alone(lsnOf(bytes.readUInt32BE(start + 1), bytes.readUInt32BE(start + 5)));
    if (!isOfTransaction) this.hasMoved = true;
    if (!isNew || !isWanted) return true;
    const content = bytes.subarray(prefixEnd + 5, end);
    this.#messages.write(prefix, content, transaction.origin, readUint64(bytes, start + 1));
    return true;
  }
}
