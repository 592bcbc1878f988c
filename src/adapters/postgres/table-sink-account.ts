import { MillraceError } from '../../domain/errors.ts';
import type { SinkAccount, SinkBatch, SinkRefusal } from '../../ports/sink.ts';
import type { PostgresClient, TextQuery } from './client.ts';
import { whileCreating } from './creation-lock.ts';

const TABLES = `
  CREATE SCHEMA IF NOT EXISTS millrace;
  CREATE TABLE IF NOT EXISTS millrace.sink_offsets (
    task text PRIMARY KEY, next bigint NOT NULL, mark text NOT NULL, writes bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS millrace.sink_left_out (
    task text, "offset" bigint, reason text, PRIMARY KEY (task, "offset"))`;

/**
 * The account of one task in the sink's own database: moved in the transaction of the rows, and only
 * from where this one left it, so that a writer that was cut off can write nothing more.
 */
export class TableSinkAccount {
  readonly #task: string;
  #value: SinkAccount | undefined;
  /** Writes of the task so far, by whomever. */
  #writes: number;

  private constructor(task: string, value: SinkAccount | undefined, writes: number) {
    this.#task = task;
    this.#value = value;
    this.#writes = writes;
  }

  static async open(client: PostgresClient, task: string): Promise<TableSinkAccount> {
    await createTables(client);
    // One instant for both: another writer may be at work.
    return client.transaction(async (query) => {
      const [row] = await query(
        'SELECT next, mark, writes FROM millrace.sink_offsets WHERE task = $1',
        [task],
      );
      const leftOut = await query('SELECT "offset" FROM millrace.sink_left_out WHERE task = $1', [
        task,
      ]);
      if (row === undefined) return new TableSinkAccount(task, undefined, 0);
      const value = {
        next: Number(row['next']),
        mark: String(row['mark']),
        leftOut: new Set(leftOut.map(({ offset }) => Number(offset))),
      };
      return new TableSinkAccount(task, value, Number(row['writes']));
    }, 'ISOLATION LEVEL REPEATABLE READ READ ONLY');
  }

  get value(): SinkAccount | undefined {
    return this.#value;
  }

  /** First in the transaction: it locks the account until the end. */
  async move({ next, mark }: SinkBatch, query: TextQuery): Promise<void> {
    const [moved] =
      this.#value === undefined
        ? await query(
            `INSERT INTO millrace.sink_offsets VALUES ($1, $2, $3, 1)
             ON CONFLICT DO NOTHING RETURNING writes`,
            [this.#task, next, mark],
          )
        : await query(
            `UPDATE millrace.sink_offsets SET next = $2, mark = $3, writes = writes + 1
             WHERE task = $1 AND writes = $4 RETURNING writes`,
            [this.#task, next, mark, this.#writes],
          );
    if (moved === undefined)
      throw new MillraceError('commit_conflict', {
        task: this.#task,
        expected: `${this.#writes} writes in millrace.sink_offsets`,
      });
  }

  /** Last in the transaction. */
  async leaveOut(
    { records, leftOut }: SinkBatch,
    refusals: readonly SinkRefusal[],
    untaken: ReadonlySet<number>,
    query: TextQuery,
  ): Promise<void> {
    const reasons = new Map<number, string | null>(leftOut.map((offset) => [offset, null]));
    for (const offset of untaken) reasons.set(offset, null);
    for (const { offset, message } of refusals) reasons.set(offset, message);
    if (reasons.size > 0)
      await query(
        `INSERT INTO millrace.sink_left_out
         SELECT $1, * FROM unnest($2::bigint[], $3::text[])
         ON CONFLICT (task, "offset") DO UPDATE SET reason = EXCLUDED.reason`,
        [this.#task, [...reasons.keys()], [...reasons.values()]],
      );
    const taken = this.#takenAfterAll(records, reasons);
    if (taken.length > 0)
      await query('DELETE FROM millrace.sink_left_out WHERE task = $1 AND "offset" = ANY ($2)', [
        this.#task,
        taken,
      ]);
  }

  /** The transaction was committed. */
  moved({ records, leftOut, next, mark }: SinkBatch, untaken: ReadonlySet<number>): void {
    const now = new Set([...(this.#value?.leftOut ?? []), ...leftOut, ...untaken]);
    for (const { offset } of records) if (!untaken.has(offset)) now.delete(offset);
    this.#value = { next, mark, leftOut: now };
    this.#writes += 1;
  }

  #takenAfterAll(
    records: SinkBatch['records'],
    without: ReadonlyMap<number, unknown>,
  ): readonly number[] {
    const before = this.#value?.leftOut;
    if (before === undefined || before.size === 0) return [];
    return records
      .map(({ offset }) => offset)
      .filter((offset) => before.has(offset) && !without.has(offset));
  }
}

/** Only where they are missing: who may not create them can have them made beforehand. */
async function createTables(client: PostgresClient): Promise<void> {
  const exist = async (): Promise<boolean> => {
    const [found] = await client.query(
      `SELECT to_regclass('millrace.sink_offsets') IS NOT NULL
          AND to_regclass('millrace.sink_left_out') IS NOT NULL AS found`,
    );
    return found?.['found'] === 't';
  };
  if (await exist()) return;
  await whileCreating(client, async () => {
    if (await exist()) return;
    try {
      await client.query(TABLES);
    } catch (error) {
      throw new MillraceError(
        'sink_not_ready',
        {
          expected: 'the schema millrace with its tables, or the right to create them',
          sql: TABLES.replaceAll(/\s+/g, ' ').trim(),
          said: error instanceof Error ? error.message : String(error),
        },
        error,
      );
    }
  });
}
