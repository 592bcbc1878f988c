import { createHash } from 'node:crypto';
import type { SqlColumn } from '../../ports/sql-engine.ts';
import type { FileRelation } from '../../ports/warehouse.ts';
import { sqlIdentifier, sqlString } from '../models/literal.ts';
import type { LakeColumn, LakeSchema, LakeTable } from './manifest.ts';

/** Of every change, beside the table's own columns. */
export const CHANGE_COLUMNS: readonly SqlColumn[] = [
  { name: '__op', type: 'VARCHAR' },
  { name: '__commit_time', type: 'TIMESTAMP' },
  { name: '__partition', type: 'INTEGER' },
  { name: '__offset', type: 'BIGINT' },
  { name: '__tx', type: 'BIGINT' },
  { name: '__lsn', type: 'BIGINT' },
  { name: '__unfit', type: 'VARCHAR' },
  { name: '__unavailable', type: 'VARCHAR' },
];

/** Of every row of a base: what its last change told. */
export const BASE_COLUMNS: readonly SqlColumn[] = CHANGE_COLUMNS.filter(({ name }) =>
  ['__partition', '__offset', '__commit_time', '__tx', '__unfit'].includes(name),
);

/** Files of one set of columns, to be read as rows of another one. */
export type RowSource = Readonly<{
  relation: FileRelation;
  /** Undefined: it has just the columns that are wanted. */
  schema?: LakeSchema;
  /** A condition on its rows; undefined: all. */
  where?: string;
}>;

/** A column as it is wanted of all rows, and the schema that has it so. */
export type WantedColumn = Readonly<{ column: LakeColumn; schema: number }>;

/** The same files have the same name in every job, other files another one. */
export function fileRelation(
  table: LakeTable,
  kind: 'base' | 'changes',
  files: readonly string[],
  columns: readonly SqlColumn[],
): FileRelation {
  const of = [table.topic, kind, ...files, ...columns.map(({ name, type }) => `${name} ${type}`)];
  const hash = createHash('sha256').update(of.join('\n')).digest('hex').slice(0, 12);
  const name = table.name.replaceAll(/\W/g, '_').toLowerCase();
  return { name: `lake__${name}__${kind}_${hash}`, files, columns };
}

/** Sets of rows as SELECTs of chosen columns, all in the same names and types. */
export class Rows {
  readonly #sources: readonly RowSource[];
  readonly #schemas: readonly LakeSchema[];
  readonly #wanted: ReadonlyMap<string, WantedColumn>;

  constructor(
    schemas: readonly LakeSchema[],
    wanted: readonly WantedColumn[],
    sources: readonly RowSource[],
  ) {
    this.#sources = sources;
    this.#schemas = schemas;
    this.#wanted = new Map(wanted.map((each) => [each.column.name, each]));
  }

  get isEmpty(): boolean {
    return this.#sources.length === 0;
  }

  get relations(): readonly FileRelation[] {
    return this.#sources.map(({ relation }) => relation);
  }

  /** `names`: of wanted columns, or of the lake's own, which alone `condition` may read. */
  select(names: Iterable<string>, condition?: string): string {
    const distinct = [...new Set(names)];
    const selects = this.#sources.map(({ relation, schema, where }) => {
      const values = distinct.map((name) => {
        const wanted = this.#wanted.get(name);
        if (wanted === undefined || schema === undefined) return sqlIdentifier(name);
        const value = columnOf(this.#schemas, schema, wanted);
        return value === sqlIdentifier(name) ? value : `${value} AS ${sqlIdentifier(name)}`;
      });
      const conditions = [where, condition].filter((each) => each !== undefined);
      return [
        `SELECT ${values.join(', ')} FROM ${sqlIdentifier(relation.name)}`,
        ...(conditions.length > 0 ? [`WHERE ${conditions.join(' AND ')}`] : []),
      ].join(' ');
    });
    return selects.join('\nUNION ALL\n');
  }
}

/**
 * An expression for a column over rows written with the columns of `schema`. A column that was
 * dropped and added again in between is another one. Where the value can't be had, null.
 */
function columnOf(
  schemas: readonly LakeSchema[],
  schema: LakeSchema,
  { column: { name, type }, schema: wantedIn }: WantedColumn,
): string {
  const isIn = ({ columns }: LakeSchema): boolean => columns.some((each) => each.name === name);
  const [first, last] = schema.id < wantedIn ? [schema.id, wantedIn] : [wantedIn, schema.id];
  const between = schemas.slice(first, last + 1);
  const held = between.every(isIn) ? columnIn(schema, name) : undefined;
  if (held?.type === type) return sqlIdentifier(name);
  if (held !== undefined) return `TRY_CAST(${sqlIdentifier(name)} AS ${castable(type)})`;
  const came = between.slice(between.findLastIndex((each) => !isIn(each)) + 1)[0];
  const missing = schema.id < wantedIn && came && columnIn(came, name)?.missing;
  if (missing !== undefined && missing !== false) return constantSql(missing, type);
  return type.endsWith('[]') ? 'NULL' : `CAST(NULL AS ${castable(type)})`;
}

function columnIn({ columns }: LakeSchema, name: string): LakeColumn | undefined {
  return columns.find((each) => each.name === name);
}

/**
 * A word for a type that both engines know in a CAST. For TIMESTAMPTZ there is none; a TIMESTAMP
 * becomes one by itself, of the same instant under UTC, in a UNION with rows that have it.
 */
function castable(type: string): string {
  if (type === 'TIMESTAMPTZ') return 'TIMESTAMP';
  if (type === 'BLOB') return 'BINARY';
  return type === 'VARCHAR' ? 'STRING' : type;
}

/** A value as PostgreSQL writes it. */
function constantSql(text: string, type: string): string {
  if (type === 'BLOB') return `unhex(${sqlString(text.replace(/^\\x/, ''))})`;
  if (!type.endsWith('[]')) return `TRY_CAST(${sqlString(text)} AS ${castable(type)})`;
  // Spark has other words for lists: it reads such a table once compaction has written a base.
  const items = [...text.matchAll(/"((?:[^"\\]|\\.)*)"|[^,{}]+/g)].map(([item, quoted]) =>
    quoted === undefined && item === 'NULL'
      ? 'NULL'
      : sqlString((quoted ?? item).replaceAll(/\\(.)/gs, '$1')),
  );
  return `TRY_CAST([${items.join(', ')}] AS ${type})`;
}
