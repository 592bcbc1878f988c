import { randomUUID } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Lake } from '../src/batch/lake/lake.ts';
import type { ChangeFile, LakeTable, Manifest } from '../src/batch/lake/manifest.ts';
import { CHANGE_COLUMNS } from '../src/batch/lake/row-source.ts';
import { writeBase } from '../src/batch/lake/base-file.ts';
import { sqlIdentifier, sqlLiteral } from '../src/batch/models/literal.ts';
import { must } from '../src/lib/must.ts';
import type { SqlColumn, SqlEngine } from '../src/ports/sql-engine.ts';

export type ScriptedTable = Readonly<{
  name: string;
  key: readonly string[];
  columns: readonly SqlColumn[];
}>;

/** `row`: of a truncate and of a delete what is known, else all. */
export type ScriptedChange = Readonly<{
  table: string;
  op: 'c' | 'u' | 'd' | 'r' | 't';
  row: Readonly<Record<string, string | number | boolean | null>>;
  partition?: number;
}>;

/** A lake whose changes a test writes, without a log. */
export class ScriptedLake {
  readonly lake: Lake;
  readonly #engine: SqlEngine;
  readonly #tables: ReadonlyMap<string, ScriptedTable>;

  private constructor(lake: Lake, engine: SqlEngine, tables: readonly ScriptedTable[]) {
    this.lake = lake;
    this.#engine = engine;
    this.#tables = new Map(tables.map((table) => [table.name, table]));
  }

  /** Of a lake that is there, the tables stay as they are. */
  static async create(
    dir: string,
    engine: SqlEngine,
    tables: readonly ScriptedTable[],
  ): Promise<ScriptedLake> {
    const lake = await Lake.open(dir);
    await lake.commit((manifest) => ({
      ...manifest,
      tables: {
        ...Object.fromEntries(tables.map((table) => [topicOf(table.name), emptyTable(table)])),
        ...manifest.tables,
      },
    }));
    return new ScriptedLake(lake, engine, tables);
  }

  /** One file a table, and one commit. */
  async append(changes: readonly ScriptedChange[], atMs = 0): Promise<Manifest> {
    const before = await this.lake.manifest();
    let tables = before.tables;
    for (const [name, ofTable] of Map.groupBy(changes, ({ table }) => table)) {
      const table = must(tables[topicOf(name)], 'it is one of the tables');
      tables = { ...tables, [table.topic]: await this.#appended(table, ofTable, atMs) };
    }
    return this.lake.commit((manifest) => ({ ...manifest, tables }));
  }

  /** Changes what the manifest says of a table. */
  async edit(name: string, change: (table: LakeTable) => LakeTable): Promise<void> {
    await this.lake.commit((manifest) => {
      const table = must(manifest.tables[topicOf(name)], 'it is one of the tables');
      return { ...manifest, tables: { ...manifest.tables, [table.topic]: change(table) } };
    });
  }

  /** Keeps the rows that a table has, and no change. */
  async retain(name: string): Promise<void> {
    const { tables } = await this.lake.manifest();
    const table = must(tables[topicOf(name)], 'it is one of the tables');
    const { offsets } = table;
    const { signal } = new AbortController();
    const base = await writeBase(this.lake, this.#engine, table, 0, signal);
    await this.edit(name, (each) => ({ ...each, bases: [base], floor: offsets, changes: [] }));
  }

  async #appended(
    table: LakeTable,
    changes: readonly ScriptedChange[],
    atMs: number,
  ): Promise<LakeTable> {
    const { columns } = must(this.#tables.get(table.name), 'it is one of the tables');
    const offsets: Record<string, number> = { ...table.offsets };
    const ranges: Record<string, [number, number]> = {};
    const resets = [...table.resets];
    const all = [...columns, ...CHANGE_COLUMNS];
    const rows = changes.map(({ op, row, partition = 0 }) => {
      const offset = offsets[partition] ?? 0;
      offsets[partition] = offset + 1;
      ranges[partition] = [ranges[partition]?.[0] ?? offset, offset];
      if (op === 't')
        resets.push({ partition, offset, at: offset, timeMs: atMs, cause: 'truncate' });
      const own = {
        __op: op,
        __commit_time: new Date(atMs).toISOString().slice(0, -1),
        __partition: partition,
        __offset: offset,
      };
      const values: Readonly<Record<string, string | number | boolean | null>> = { ...row, ...own };
      return `SELECT ${all.map(({ name, type }) => `CAST(${literal(values[name])} AS ${type}) AS ${sqlIdentifier(name)}`).join(', ')}`;
    });
    const path = `changes/${table.topic}/day=${new Date(atMs).toISOString().slice(0, 10)}/${randomUUID()}.parquet`;
    const file = this.lake.path(path);
    await mkdir(dirname(file), { recursive: true });
    await this.#engine.run(`COPY (${rows.join('\nUNION ALL\n')}) TO '${file}' (FORMAT parquet)`);
    const written: ChangeFile = {
      path,
      schema: table.schemas.length - 1,
      day: new Date(atMs).toISOString().slice(0, 10),
      rows: changes.length,
      bytes: (await stat(file)).size,
      offsets: ranges,
      minTimeMs: atMs,
      maxTimeMs: atMs,
      unavailable: [],
    };
    return { ...table, offsets, resets, changes: [...table.changes, written] };
  }
}

function topicOf(table: string): string {
  return `dbserver1.public.${table}`;
}

function emptyTable({ name, key, columns }: ScriptedTable): LakeTable {
  return {
    topic: topicOf(name),
    schema: 'public',
    name,
    key,
    schemas: [
      {
        id: 0,
        columns: columns.map((column) => ({
          ...column,
          source: column.name,
          sqlType: column.type,
        })),
      },
    ],
    offsets: {},
    changes: [],
    bases: [],
    resets: [],
  };
}

function literal(value: string | number | boolean | null | undefined): string {
  return value === null || value === undefined ? 'NULL' : sqlLiteral(value);
}
