import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { must } from '../../lib/must.ts';
import type { CopyStream, Snapshot } from '../../ports/change-source.ts';
import { qualifiedName } from './publication.ts';

export type CopyQuery = Parameters<Snapshot['copy']>[0];

const LINE_FEED = 0x0a;
/** Enough rows a chunk that what is done once a chunk does not count. */
const MIN_CHUNK_BYTES = 128 * 1024;

/**
 * Rows in COPY's text format, whole rows a chunk. Each chunk is the reader's to keep. Leaving
 * before the end, by abort or `break`, ends the connection: nothing else stops a running COPY.
 */
export async function* copyRows(
  connection: pg.Client,
  sql: string,
  signal: AbortSignal,
): CopyStream {
  const source = connection.query(copyTo(sql, { highWaterMark: MIN_CHUNK_BYTES }));
  // Once left, nobody reads on: that the connection then ends is no news.
  source.on('error', () => undefined);
  const end = () => connection.connection.stream.destroy();
  signal.addEventListener('abort', end, { once: true });
  let hasEnded = false;
  let parts: Buffer[] = [];
  let bytes = 0;
  try {
    signal.throwIfAborted();
    for await (const part of source as AsyncIterable<Buffer>) {
      // In the text format a line feed inside a value is written \n, so a bare one ends a row.
      const rowsEnd = part.lastIndexOf(LINE_FEED) + 1;
      if (rowsEnd === 0 || bytes + rowsEnd < MIN_CHUNK_BYTES) {
        parts.push(part);
        bytes += part.length;
        continue;
      }
      parts.push(part.subarray(0, rowsEnd));
      yield Buffer.concat(parts);
      parts = [part.subarray(rowsEnd)];
      bytes = part.length - rowsEnd;
    }
    hasEnded = true;
    if (bytes > 0) yield Buffer.concat(parts);
  } catch (error) {
    signal.throwIfAborted();
    hasEnded = error instanceof pg.DatabaseError; // refused: no COPY runs
    throw error;
  } finally {
    signal.removeEventListener('abort', end);
    if (!hasEnded) end();
  }
}

export function copySql({ table, columns, orderBy, after, limit }: CopyQuery): string {
  const names = (list: readonly string[]) =>
    list.map((name) => pg.escapeIdentifier(name)).join(', ');
  const from = table.kind === 'table' ? `ONLY ${qualifiedName(table)}` : qualifiedName(table);
  const parts = [`SELECT ${names(columns)} FROM ${from}`];
  if (after !== undefined) {
    // Each value is cast to its column's type, so that 9 comes before 10 and the index is used.
    const values = orderBy.map((name, i) => {
      const column = table.columns.find((candidate) => candidate.name === name);
      const { typeName } = must(column, `rows are ordered by columns of the table, not by ${name}`);
      return `${pg.escapeLiteral(must(after[i], `after has a value for ${name}`))}::${typeName}`;
    });
    parts.push(`WHERE (${names(orderBy)}) > (${values.join(', ')})`);
  }
  if (orderBy.length > 0) parts.push(`ORDER BY ${names(orderBy)}`);
  if (limit !== undefined) parts.push(`LIMIT ${limit}`);
  return `COPY (${parts.join(' ')}) TO STDOUT`;
}
