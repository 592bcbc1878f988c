import { randomUUID } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Lake } from '../src/batch/lake/lake.ts';
import type { ChangeFile, LakeReset, LakeSchema, LakeTable } from '../src/batch/lake/manifest.ts';
import { sqlIdentifier, sqlString } from '../src/batch/models/literal.ts';
import type { SqlEngine } from '../src/ports/sql-engine.ts';

/** A row of a change file; values as text, which DuckDB casts. */
export type TestChange = Readonly<{
  op: 'c' | 'u' | 'd' | 'r' | 't' | 'm';
  partition: number;
  offset: number;
  timeMs: number;
  schema: number;
  row: Readonly<Record<string, string | null>>;
  tx?: number;
  unavailable?: readonly string[];
  /** Values that their columns can't hold. */
  unfit?: Readonly<Record<string, string>>;
}>;

export type TestTable = Pick<LakeTable, 'topic' | 'schema' | 'name' | 'key'> &
  Readonly<{ schemas: readonly LakeSchema[] }>;

/** `{ id: 'INTEGER' }` as columns; `a text = x` tells what rows of before have. */
export function schemaOf(
  id: number,
  columns: Readonly<Record<string, string>>,
  missing: Readonly<Record<string, string>> = {},
): LakeSchema {
  return {
    id,
    columns: Object.entries(columns).map(([name, type]) => ({
      name,
      source: name,
      type,
      sqlType: type,
      ...(missing[name] !== undefined && { missing: missing[name] }),
    })),
  };
}

/** Writes changes as a lake writer would, and commits them with the offsets after them. */
export async function writeChanges(
  lake: Lake,
  engine: SqlEngine,
  table: TestTable,
  changes: readonly TestChange[],
  {
    offsets,
    resets = [],
  }: Readonly<{ offsets: Readonly<Record<string, number>>; resets?: readonly LakeReset[] }>,
): Promise<void> {
  const files: ChangeFile[] = [];
  const groups = Map.groupBy(changes, ({ timeMs, schema }) => `${dayOf(timeMs)} ${schema}`);
  for (const group of groups.values()) files.push(await writeFile(lake, engine, table, group));
  await lake.commit((manifest) => {
    const before = manifest.tables[table.topic];
    const ids = [...(before?.schemas ?? []), ...files].map((each) =>
      'id' in each ? each.id : each.schema,
    );
    const after: LakeTable = {
      bases: [],
      ...before,
      ...table,
      schemas: table.schemas.slice(0, Math.max(0, ...ids) + 1),
      offsets,
      changes: [...(before?.changes ?? []), ...files],
      resets: [...(before?.resets ?? []), ...resets],
    };
    return { ...manifest, tables: { ...manifest.tables, [table.topic]: after } };
  });
}

async function writeFile(
  lake: Lake,
  engine: SqlEngine,
  { topic, schemas }: TestTable,
  changes: readonly TestChange[],
): Promise<ChangeFile> {
  const [first] = changes;
  const schema = schemas[first?.schema ?? 0];
  if (first === undefined || schema === undefined) throw new Error('bug: no changes, or no schema');
  const day = dayOf(first.timeMs);
  const path = `changes/${topic}/day=${day}/${randomUUID()}.parquet`;
  await mkdir(dirname(lake.path(path)), { recursive: true });
  const text = (value: string | null | undefined): string =>
    value === null || value === undefined ? 'NULL' : sqlString(value);
  const rows = changes.map(({ op, partition, offset, timeMs, row, tx, unavailable, unfit }) => {
    const own = schema.columns.map(({ name }) => text(row[name]));
    const time = new Date(timeMs).toISOString().replace('Z', '');
    const left = unavailable === undefined ? null : JSON.stringify(unavailable);
    const other = unfit === undefined ? null : JSON.stringify(unfit);
    const values = [op, time, `${partition}`, `${offset}`, `${tx ?? offset}`, `${offset}`, other];
    return `(${[...own, ...values.map(text), text(left)].join(', ')})`;
  });
  const names = [
    ...schema.columns.map(({ name, type }) => [name, type] as const),
    ['__op', 'VARCHAR'] as const,
    ['__commit_time', 'TIMESTAMP'] as const,
    ['__partition', 'INTEGER'] as const,
    ['__offset', 'BIGINT'] as const,
    ['__tx', 'BIGINT'] as const,
    ['__lsn', 'BIGINT'] as const,
    ['__unfit', 'VARCHAR'] as const,
    ['__unavailable', 'VARCHAR'] as const,
  ];
  const columns = names.map(
    ([name, type], index) => `CAST(v${index} AS ${type}) AS ${sqlIdentifier(name)}`,
  );
  await engine.run(
    `COPY (SELECT ${columns.join(', ')} FROM (VALUES ${rows.join(',\n')}) t(${names.map((_, index) => `v${index}`).join(', ')})) TO ${sqlString(lake.path(path))} (FORMAT parquet)`,
  );
  const offsets: Record<string, readonly [number, number]> = {};
  for (const { partition, offset } of changes) {
    const [min, max] = offsets[partition] ?? [offset, offset];
    offsets[partition] = [Math.min(min, offset), Math.max(max, offset)];
  }
  return {
    path,
    schema: schema.id,
    day,
    rows: changes.length,
    bytes: (await stat(lake.path(path))).size,
    offsets,
    minTimeMs: Math.min(...changes.map(({ timeMs }) => timeMs)),
    maxTimeMs: Math.max(...changes.map(({ timeMs }) => timeMs)),
    unavailable: [...new Set(changes.flatMap(({ unavailable = [] }) => unavailable))],
  };
}

function dayOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}
