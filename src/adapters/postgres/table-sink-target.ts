import pg from 'pg';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { PostgresClient, TextQuery } from './client.ts';
import { whileCreating } from './creation-lock.ts';
import type { FoldedRows } from './table-sink-rows.ts';

/** The table that a sink writes to, as its database knows it. */
export class TargetTable {
  /** By column, of those that can be written: its type, as SQL. */
  readonly types: Readonly<Record<string, string>>;
  readonly #name: string;
  readonly #key: readonly string[];

  private constructor(
    name: string,
    key: readonly string[],
    types: Readonly<Record<string, string>>,
  ) {
    this.#name = name;
    this.#key = key;
    this.types = types;
  }

  /** Fails with `sink_not_ready` where there is no such table, or nothing that keeps its key unique. */
  static async find(
    client: PostgresClient,
    {
      table,
      key,
      create,
    }: Readonly<{ table: string; key: readonly string[]; create: string | undefined }>,
  ): Promise<TargetTable> {
    const name = quotedName(table);
    if (create !== undefined && !(await exists(client, name))) {
      await whileCreating(client, async () => {
        if (!(await exists(client, name))) await client.query(create);
      });
    }
    if (!(await exists(client, name)))
      throw new MillraceError('sink_not_ready', { expected: `a table ${name}`, found: 'none' });
    const columns = await client.query(
      `SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
         AND attgenerated = '' AND attidentity <> 'a'`,
      [name],
    );
    const types = Object.fromEntries(columns.map(({ attname, type }) => [attname, type]));
    const lacking = key.find((column) => !Object.hasOwn(types, column));
    if (lacking !== undefined)
      throw new MillraceError('sink_not_ready', {
        expected: `a column ${lacking} of ${name} that can be written, as the key names it`,
      });
    const [unique] = await client.query(IS_UNIQUE, [name, [...key]]);
    if (unique?.['is_unique'] !== 't') {
      const sql = `CREATE UNIQUE INDEX ON ${name} (${key.map(quoted).join(', ')})`;
      throw new MillraceError('sink_not_ready', { expected: 'a primary key or unique index', sql });
    }
    return new TargetTable(name, key, types as Record<string, string>);
  }

  /** Whether all fields of a value are columns. */
  knows(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return true;
    return Object.keys(value).every((field) => Object.hasOwn(this.types, field));
  }

  async apply({ removed, written }: FoldedRows, query: TextQuery): Promise<void> {
    if (removed.length > 0) {
      const same = this.#key.map((column) => `t.${quoted(column)} = r.${quoted(column)}`);
      await query(
        `DELETE FROM ${this.#name} t USING ${this.#recordset(this.#key)} WHERE ${same.join(' AND ')}`,
        [JSON.stringify(removed)],
      );
    }
    for (const { columns, rows } of written)
      await query(this.#upsert(columns), [JSON.stringify(rows)]);
  }

  #upsert(columns: readonly string[]): string {
    const names = columns.map(quoted).join(', ');
    const key = this.#key.map(quoted).join(', ');
    const set = columns
      .filter((column) => !this.#key.includes(column))
      .map((column) => `${quoted(column)} = EXCLUDED.${quoted(column)}`);
    const action = set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`;
    return `INSERT INTO ${this.#name} (${names}) SELECT ${names} FROM ${this.#recordset(columns)}
      ON CONFLICT (${key}) DO ${action}`;
  }

  /** The rows of the parameter, each value read as its column's type reads it. */
  #recordset(columns: readonly string[]): string {
    const typed = columns.map(
      (column) => `${quoted(column)} ${must(this.types[column], 'only known columns are written')}`,
    );
    return `json_to_recordset($1) AS r(${typed.join(', ')})`;
  }
}

/** An index on these columns and no others, over all rows, that says at once what is twice. */
const IS_UNIQUE = `
  SELECT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = cardinality($2::text[])
      AND NOT EXISTS (
        SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS part
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part
        WHERE a.attname <> ALL ($2::text[]))
  ) AS is_unique`;

async function exists(client: PostgresClient, name: string): Promise<boolean> {
  const [found] = await client.query('SELECT to_regclass($1) IS NOT NULL AS found', [name]);
  return found?.['found'] === 't';
}

/** `schema.table`, or a table in the search path. */
function quotedName(table: string): string {
  return table.split('.').map(quoted).join('.');
}

function quoted(name: string): string {
  return pg.escapeIdentifier(name);
}
