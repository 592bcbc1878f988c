import type { CopyTask } from '../domain/position.ts';
import type { ConnectorStatus } from '../domain/status.ts';
import type { Table } from '../ports/change-source.ts';

type Line = { table: string; rows: number; estimatedRows: number; done: boolean };

/** What a copy has come to, for people to look at. */
export class CopyReport {
  readonly #lines = new Map<number, Line>();

  begin(tables: readonly Table[]): void {
    this.#lines.clear();
    this.add(tables);
  }

  /** These are to be copied too. What is done makes room. */
  add(tables: readonly Table[]): void {
    for (const [oid, { done }] of this.#lines) if (done) this.#lines.delete(oid);
    for (const { oid, schema, name, estimatedRows } of tables)
      this.#lines.set(oid, { table: `${schema}.${name}`, rows: 0, estimatedRows, done: false });
  }

  /** A copy of an earlier run goes on: rows are counted from here. */
  resume(left: readonly CopyTask[], tables: readonly Table[]): void {
    if (this.#lines.size > 0) return;
    this.add(tables.filter(({ oid }) => left.some((task) => task.oid === oid)));
  }

  left(tasks: readonly CopyTask[]): void {
    for (const [oid, line] of this.#lines) line.done = !tasks.some((task) => task.oid === oid);
  }

  rows({ oid }: CopyTask, rows: number): void {
    const line = this.#lines.get(oid);
    if (line !== undefined) line.rows += rows;
  }

  tables(): NonNullable<ConnectorStatus['copy']> {
    return [...this.#lines.values()].map((line) => ({ ...line }));
  }
}
