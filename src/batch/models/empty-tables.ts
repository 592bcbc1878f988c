import { randomUUID } from 'node:crypto';
import { MillraceError } from '../../domain/errors.ts';
import type { SqlColumn, SqlEngine } from '../../ports/sql-engine.ts';
import type { SqlProblem } from './ast.ts';
import { sqlIdentifier } from './literal.ts';

/** Tables without rows, apart from whatever else an engine holds, over which SQL is bound. */
export class EmptyTables implements AsyncDisposable {
  readonly #engine: SqlEngine;
  readonly #schema: string;
  readonly #names = new Set<string>();

  private constructor(engine: SqlEngine, schema: string) {
    this.#engine = engine;
    this.#schema = schema;
  }

  static async open(engine: SqlEngine): Promise<EmptyTables> {
    const schema = `compile_${randomUUID().replaceAll('-', '')}`;
    await engine.run(`CREATE SCHEMA ${schema}`);
    return new EmptyTables(engine, schema);
  }

  /** `name` is quoted; one that is there stays. */
  async add(name: string, columns: readonly SqlColumn[]): Promise<void> {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    const list = columns.map((column) => `${sqlIdentifier(column.name)} ${column.type}`);
    await this.#engine.run(`CREATE TABLE ${this.nameOf(name)} (${list.join(', ')})`);
  }

  /** What SQL calls the table of a quoted name. */
  nameOf(name: string): string {
    return `${this.#schema}.${name}`;
  }

  /** The columns that a SELECT gives, or why it does not bind, in the engine's words, with the names that it was given. */
  async describe(sql: string): Promise<readonly SqlColumn[] | SqlProblem> {
    try {
      const { rows } = await this.#engine.query(`DESCRIBE ${sql}`);
      return rows.map(([name, type]) => ({ name: name as string, type: type as string }));
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'sql_failed') throw error;
      const { problem, line } = error.facts;
      return {
        problem: String(problem).replaceAll(`${this.#schema}.`, ''),
        line: typeof line === 'number' ? line : 1,
      };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.run(`DROP SCHEMA ${this.#schema} CASCADE`);
  }
}
