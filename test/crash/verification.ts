import assert from 'node:assert/strict';
import type { EventLog } from '../../src/ports/event-log.ts';
import type { Row } from '../../src/domain/envelope.ts';
import { historyOf } from '../log-history.ts';
import type { CrashTable } from './tables.ts';
import type { CrashServer } from './server.ts';
import { topicOf } from './workplace.ts';

const MOST_SHOWN = 10;

/** The rows of a table by key, every value as text. */
export type Rows = ReadonlyMap<string, string>;

/** To be called when nobody changes the tables any more. */
export async function rowsOf(server: Pick<CrashServer, 'query'>, table: CrashTable): Promise<Rows> {
  return rowsByKey(await server.query(`select * from ${table.name}`), table);
}

export function rowsByKey(rows: readonly Row[], table: CrashTable): Rows {
  return new Map(rows.map((row) => [keyOf(row, table), asText(row)]));
}

/**
 * Throws unless the records of the table's topic tell one history without loss, double or
 * disorder, that ends with these rows. Returns how many records there are, and how many of them a
 * crash in the first copy made later ones.
 */
export async function verifyHistory(
  log: EventLog,
  table: CrashTable,
  rows: Rows,
): Promise<Readonly<{ records: number; copiedLate: number }>> {
  const { problems, rows: told, records, copiedLate } = await historyOf(log, topicOf(table.name));
  const found = rowsByKey([...told.values()], table);
  assert.equal(found.size, told.size, `${table.name}: a record's key is not its row's`);
  compareRows(table, { expected: rows, found, where: 'the log', problems });
  return { records, copiedLate };
}

/** Throws unless the rows that were found, in the place named, are the table's. */
export function compareRows(
  { name }: CrashTable,
  {
    expected,
    found,
    where,
    problems = [],
  }: Readonly<{ expected: Rows; found: Rows; where: string; problems?: readonly string[] }>,
): void {
  const differences = [
    ...problems,
    ...[...expected].flatMap(([key, row]) =>
      found.get(key) === row ? [] : [`${key}: the table has ${row}, ${where} ${found.get(key)}`],
    ),
    ...[...found].flatMap(([key, row]) =>
      expected.has(key) ? [] : [`${key}: ${where} has ${row}, the table no such row`],
    ),
  ];
  if (differences.length === 0) return;
  const shown = differences.slice(0, MOST_SHOWN).map((each) => each.slice(0, 600));
  throw new Error(`${name}: ${differences.length} differences\n  ${shown.join('\n  ')}`);
}

function keyOf(row: Row, { key }: CrashTable): string {
  return JSON.stringify(key.map((column) => String(row[column])));
}

/** One text for what PostgreSQL prints and what the events hold: of times, digits at the end may be missing. */
function asText(row: Row): string {
  return JSON.stringify(
    Object.entries(row).map(([column, value]) => [
      column,
      typeof value === 'string'
        ? value
            .replace(/^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:(\.\d*?)0*)?Z?$/, '$1 $2$3')
            .replace(/\.$/, '')
        : value === null || value === undefined
          ? null
          : String(value as number | boolean),
    ]),
  );
}
