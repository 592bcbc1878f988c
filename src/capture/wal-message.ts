/*
 * Tags and fields of the replication protocol and of pgoutput, version 1.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */

/** XLogData: tag, start of the WAL data (8), current end of WAL (8), server clock (8), then pgoutput. */
export const XLOG_HEADER_BYTES = 25;
/** Primary keepalive: tag, current end of WAL (8), server clock (8), reply asked for (1). */
export const KEEPALIVE = 0x6b;

export const BEGIN = 0x42;
export const COMMIT = 0x43;
export const RELATION = 0x52;
export const INSERT = 0x49;
export const UPDATE = 0x55;
export const DELETE = 0x44;
export const TRUNCATE = 0x54;
/** A logical message: tag, flags (1; 1 is of a transaction), LSN (8), prefix, 0, length of the content (4), content. */
export const MESSAGE = 0x4d;

export const OLD_KEY = 0x4b;
export const NEW_ROW = 0x4e;

/** 2000-01-01, PostgreSQL's epoch, in microseconds since 1970. */
const POSTGRES_EPOCH_US = 946_684_800_000_000;

/** A 64-bit number as a double: exact below 2^53, which is 8 PiB of WAL or the year 2255. */
export function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4);
}

/** A timestamp of the protocol, in microseconds since 1970. */
export function readTimeUs(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4) + POSTGRES_EPOCH_US;
}
