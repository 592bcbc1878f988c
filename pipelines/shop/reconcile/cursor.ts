import type { SourceQuery } from '../../../src/index.ts';

const FETCH_ROWS = 2000;

export type TextRow = Readonly<Record<string, string | null>>;

/** The rows of a query, a page at a time in memory. Needs a transaction, as `reconcile` is given. */
export async function* cursor(
  query: SourceQuery,
  name: string,
  sql: string,
): AsyncIterable<TextRow> {
  await query(`DECLARE ${name} NO SCROLL CURSOR FOR ${sql}`);
  for (;;) {
    const rows = await query(`FETCH ${FETCH_ROWS} FROM ${name}`);
    yield* rows;
    if (rows.length < FETCH_ROWS) break;
  }
  await query(`CLOSE ${name}`);
}
