import type { Lsn } from '../src/domain/lsn.ts';
import type { Table, WalBatch } from '../src/ports/change-source.ts';

/*
 * Messages as a walsender sends them for pgoutput, version 1.
 * https://www.postgresql.org/docs/current/protocol-replication.html
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */

/** A row's values as text, in column order; `undefined`: unchanged, and not in the WAL. */
type Values = readonly (string | null | undefined)[];

const CLOCK = Buffer.alloc(8);

export function xlogData(at: Lsn, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from('w'), u64(at), u64(at), CLOCK, payload]);
}

export function keepalive(walEnd: Lsn): Buffer {
  return Buffer.concat([Buffer.from('k'), u64(walEnd), CLOCK, Buffer.alloc(1)]);
}

export function begin(commitLsn: Lsn, xid: number): Buffer {
  return Buffer.concat([Buffer.from('B'), u64(commitLsn), CLOCK, u32(xid)]);
}

export function commit(commitLsn: Lsn, end: Lsn): Buffer {
  return Buffer.concat([Buffer.from('C\0'), u64(commitLsn), u64(end), CLOCK]);
}

export function relation({ oid, schema, name, replicaIdentity, ...table }: Table): Buffer {
  const letter = { default: 'd', nothing: 'n', full: 'f', index: 'i' }[replicaIdentity];
  return Buffer.concat([
    Buffer.from('R'),
    u32(oid),
    Buffer.from(`${schema}\0${name}\0${letter}`),
    u16(table.columns.length),
    ...table.columns.flatMap((column) => [
      Buffer.from([table.identityColumns.includes(column.name) ? 1 : 0]),
      Buffer.from(`${column.name}\0`),
      u32(column.typeOid),
      u32(0xffff_ffff),
    ]),
  ]);
}

export function insert(oid: number, row: Values): Buffer {
  return Buffer.concat([Buffer.from('I'), u32(oid), tuple('N', row)]);
}

/** `old` is the whole row ('O'), or of its columns only the key's ('K'). */
export function update(
  oid: number,
  old: readonly ['O' | 'K', Values] | undefined,
  row: Values,
): Buffer {
  const before = old === undefined ? Buffer.alloc(0) : tuple(...old);
  return Buffer.concat([Buffer.from('U'), u32(oid), before, tuple('N', row)]);
}

export function deletion(oid: number, old: readonly ['O' | 'K', Values]): Buffer {
  return Buffer.concat([Buffer.from('D'), u32(oid), tuple(...old)]);
}

/** A logical message, of a transaction or of none; `at` is where its record ends. */
export function logicalMessage(
  at: Lsn,
  prefix: string,
  content: string,
  isOfTransaction: boolean,
): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([
    Buffer.from(['M'.charCodeAt(0), isOfTransaction ? 1 : 0]),
    u64(at),
    Buffer.from(`${prefix}\0`),
    u32(bytes.length),
    bytes,
  ]);
}

/** Messages as the port hands them on. */
export function walBatch(messages: readonly Buffer[]): WalBatch {
  const bounds = new Int32Array(2 * messages.length);
  let at = 0;
  for (const [index, message] of messages.entries()) {
    bounds[2 * index] = at;
    at += message.length;
    bounds[2 * index + 1] = at;
  }
  return { bytes: Buffer.concat(messages), bounds, count: messages.length };
}

/** A row in COPY's text format. */
export function copyLine(row: readonly string[]): string {
  const escaped = row.map((value) =>
    value.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n'),
  );
  return `${escaped.join('\t')}\n`;
}

function tuple(kind: string, row: Values): Buffer {
  const columns = row.map((value) => {
    if (value === null) return Buffer.from('n');
    if (value === undefined) return Buffer.from('u');
    const text = Buffer.from(value);
    return Buffer.concat([Buffer.from('t'), u32(text.length), text]);
  });
  return Buffer.concat([Buffer.from(kind), u16(row.length), ...columns]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
