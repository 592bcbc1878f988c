import type { LakeModel, LakeTable, Manifest } from '../../batch/lake/manifest.ts';
import { sqlIdentifier, sqlString } from '../../batch/models/literal.ts';
import type { SqlColumn } from '../../ports/sql-engine.ts';

/** A table of facts about the lake itself, as the manifest has them. */
export type LakeFacts = Readonly<{
  name: string;
  columns: readonly SqlColumn[];
  sql: () => string;
}>;

type Cell = string | number | null;

export function lakeFacts(manifest: Manifest): readonly LakeFacts[] {
  return [
    facts('tables', TABLE_COLUMNS, () => Object.values(manifest.tables).map(tableRow)),
    facts('models', MODEL_COLUMNS, () => Object.values(manifest.models).map(modelRow)),
    facts('files', FILE_COLUMNS, () => [
      ...Object.values(manifest.tables).flatMap(tableFiles),
      ...Object.values(manifest.models).flatMap(modelFiles),
    ]),
  ];
}

const TABLE_COLUMNS = {
  schema: 'VARCHAR',
  name: 'VARCHAR',
  topic: 'VARCHAR',
  key: 'VARCHAR[]',
  changes: 'BIGINT',
  files: 'BIGINT',
  bytes: 'BIGINT',
  first_change: 'TIMESTAMPTZ',
  last_change: 'TIMESTAMPTZ',
} as const;

function tableRow(table: LakeTable): Record<keyof typeof TABLE_COLUMNS, Cell> {
  const { schema, name, topic, key, changes } = table;
  const files = tableFiles(table);
  return {
    schema,
    name,
    topic,
    key: `[${key.map((column) => JSON.stringify(column)).join(', ')}]`,
    changes: sum(changes.map(({ rows }) => rows)),
    files: files.length,
    bytes: sum(files.map(({ bytes }) => bytes)),
    first_change: time(changes.map(({ minTimeMs }) => minTimeMs).reduce(least, undefined)),
    last_change: time(changes.map(({ maxTimeMs }) => maxTimeMs).reduce(most, undefined)),
  };
}

const MODEL_COLUMNS = {
  name: 'VARCHAR',
  materialization: 'VARCHAR',
  run_id: 'VARCHAR',
  built_at: 'TIMESTAMPTZ',
  rows: 'BIGINT',
  files: 'BIGINT',
  bytes: 'BIGINT',
} as const;

function modelRow(model: LakeModel): Record<keyof typeof MODEL_COLUMNS, Cell> {
  const { name, materialization, runId, builtAtMs, rows, files } = model;
  return {
    name,
    materialization,
    run_id: runId,
    built_at: time(builtAtMs),
    rows: materialization === 'view' ? null : rows,
    files: files.length,
    bytes: sum(files.map(({ bytes }) => bytes)),
  };
}

const FILE_COLUMNS = {
  path: 'VARCHAR',
  kind: 'VARCHAR',
  of: 'VARCHAR',
  rows: 'BIGINT',
  bytes: 'BIGINT',
  day: 'DATE',
} as const;
type FileRow = Readonly<{ bytes: number } & Record<keyof typeof FILE_COLUMNS, Cell>>;

function tableFiles({ topic, changes, bases }: LakeTable): FileRow[] {
  return [
    ...changes.map(({ path, rows, bytes, day }) => ({
      path,
      kind: 'changes',
      of: topic,
      rows,
      bytes,
      day,
    })),
    ...bases.flatMap(({ files }) =>
      files.map(({ path, rows, bytes }) => ({
        path,
        kind: 'base',
        of: topic,
        rows,
        bytes,
        day: null,
      })),
    ),
  ];
}

function modelFiles({ name, files }: LakeModel): FileRow[] {
  return files.map(({ path, bytes }) => ({
    path,
    kind: 'model',
    of: name,
    rows: null,
    bytes,
    day: null,
  }));
}

function facts<Name extends string>(
  name: string,
  types: Readonly<Record<Name, string>>,
  rows: () => readonly Readonly<Record<Name, Cell>>[],
): LakeFacts {
  const columns = (Object.keys(types) as Name[]).map((column) => ({
    name: column,
    type: types[column],
  }));
  const valuesOf = (row: Readonly<Record<Name, Cell>>): string =>
    `(${columns.map((column) => literal(row[column.name])).join(', ')})`;
  const sql = (): string => {
    const nothing = `(${columns.map(() => 'NULL').join(', ')})`;
    const found = rows().map(valuesOf);
    const casts = columns.map(
      (column, index) => `CAST(c${index} AS ${column.type}) AS ${sqlIdentifier(column.name)}`,
    );
    const names = columns.map((_, index) => `c${index}`).join(', ');
    const values =
      found.length === 0
        ? `${nothing}) t(${names}) WHERE FALSE`
        : `${found.join(',\n')}) t(${names})`;
    return `SELECT ${casts.join(', ')} FROM (VALUES ${values}`;
  };
  return { name, columns, sql };
}

function literal(value: Cell): string {
  if (value === null) return 'NULL';
  return typeof value === 'number' ? String(value) : sqlString(value);
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

function least(a: number | undefined, b: number): number {
  return a === undefined ? b : Math.min(a, b);
}

function most(a: number | undefined, b: number): number {
  return a === undefined ? b : Math.max(a, b);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
