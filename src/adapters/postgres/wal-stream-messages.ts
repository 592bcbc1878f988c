/**
 * The messages of the streaming replication protocol that `wal-stream.ts` writes and reads.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 * https://www.postgresql.org/docs/current/protocol-replication.html
 */
import pg from 'pg';
import type { Lsn } from '../../domain/lsn.ts';

export const COPY_DATA = 0x64; // d
export const COPY_BOTH_RESPONSE = 0x57; // W
export const COPY_DONE = 0x63; // c
export const COMMAND_COMPLETE = 0x43; // C
export const ERROR_RESPONSE = 0x45; // E
export const NOTICE_RESPONSE = 0x4e; // N
export const READY_FOR_QUERY = 0x5a; // Z
export const KEEPALIVE = 0x6b; // k

/** The type's byte and the length, which counts itself but not the type. */
export const HEADER_BYTES = 5;

export function queryMessage(sql: string): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + Buffer.byteLength(sql) + 1);
  message.write('Q', 'latin1');
  message.writeInt32BE(message.length - 1, 1);
  message.write(sql, HEADER_BYTES, 'utf8');
  return message;
}

export function emptyMessage(type: 'c' | 'X'): Buffer {
  const message = Buffer.alloc(HEADER_BYTES);
  message.write(type, 'latin1');
  message.writeInt32BE(4, 1);
  return message;
}

/** From 1970 to 2000, where PostgreSQL's clock begins. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** CopyData with a standby status update: r, written, flushed, applied, clock in µs, reply wanted. */
export function statusMessage(confirmed: Lsn, isReplyWanted: boolean): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + 34);
  message[0] = COPY_DATA;
  message.writeInt32BE(message.length - 1, 1);
  message.write('r', HEADER_BYTES, 'latin1');
  for (const at of [6, 14, 22]) message.writeBigUInt64BE(confirmed, at);
  message.writeBigInt64BE(BigInt(Date.now() - POSTGRES_EPOCH_MS) * 1000n, 30);
  message[38] = isReplyWanted ? 1 : 0;
  return message;
}

/** Fields of an ErrorResponse or NoticeResponse: a letter and a text ended by a zero byte, each; another zero ends them. */
export function databaseError(payload: Buffer): pg.DatabaseError {
  const fields = new Map(
    payload
      .toString('utf8')
      .split('\0')
      .map((field) => [field.charAt(0), field.slice(1)]),
  );
  const error = new pg.DatabaseError(fields.get('M') ?? 'unknown error', payload.length, 'error');
  for (const [letter, name] of [
    ['S', 'severity'],
    ['C', 'code'],
    ['D', 'detail'],
    ['H', 'hint'],
    ['R', 'routine'],
  ] as const) {
    const value = fields.get(letter);
    if (value !== undefined) error[name] = value;
  }
  return error;
}
