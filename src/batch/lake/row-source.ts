import { createHash } from 'node:crypto';
import type { SqlColumn } from '../../ports/sql-engine.ts';
import type { FileRelation } from '../../ports/warehouse.ts';
import { sqlIdentifier, sqlString } from '../models/literal.ts';
import type { LakeColumn, LakeSchema, LakeTable } from './manifest.ts';
import { isSameNumber, sameColumn } from './same-column.ts';

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
        const value = schema === undefined ? sqlIdentifier(name) : this.#valueOf(name, schema);
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

  #valueOf(name: string, schema: LakeSchema): string {
    const wanted = this.#wanted.get(name);
    if (wanted !== undefined) return columnOf(this.#schemas, schema, wanted);
    if (name !== '__unfit' && name !== '__unavailable') return sqlIdentifier(name);
    const renamed = [...this.#wanted.values()].flatMap((each) => {
      const { held } = heldFor(this.#schemas, schema, each);
      const isRenamed = held !== undefined && held.name !== each.column.name;
      return isRenamed ? [[held.name, each.column.name] as const] : [];
    });
    return renamedIn(name, renamed);
  }
}

/**
 * An expression for a column over rows written with the columns of `schema`. A column that was
 * dropped and added again in between is another one. Where the value can't be had, null.
 */
function columnOf(
  schemas: readonly LakeSchema[],
  schema: LakeSchema,
  wanted: WantedColumn,
): string {
  const { type } = wanted.column;
  const { held, missing } = heldFor(schemas, schema, wanted);
  if (held?.type === type) return sqlIdentifier(held.name);
  if (held !== undefined) return `TRY_CAST(${sqlIdentifier(held.name)} AS ${castable(type)})`;
  if (missing !== undefined) return constantSql(missing, type);
  return type.endsWith('[]') ? 'NULL' : `CAST(NULL AS ${castable(type)})`;
}

/** The column under which rows of `schema` have it; or what those have that are older than it. */
function heldFor(
  schemas: readonly LakeSchema[],
  schema: LakeSchema,
  { column, schema: wantedIn }: WantedColumn,
): Readonly<{ held?: LakeColumn; missing?: string }> {
  const isOlder = schema.id < wantedIn;
  const between = isOlder
    ? schemas.slice(schema.id, wantedIn + 1).toReversed()
    : schemas.slice(wantedIn, schema.id + 1);
  const numbered = schema.columns.find((each) => isSameNumber(each, column));
  if (numbered !== undefined) return { held: numbered };
  let last = column;
  for (const { columns } of between) {
    const here = sameColumn(columns, last);
    if (here === undefined)
      return isOlder && last.missing !== undefined ? { missing: last.missing } : {};
    const number = here.number ?? last.number;
    last = { ...here, ...(number !== undefined && { number }) };
  }
  return { held: last };
}

/** As it names columns, a value of the lake's own that does so, with other names for some. */
function renamedIn(
  own: '__unfit' | '__unavailable',
  names: readonly (readonly [from: string, to: string])[],
): string {
  const end = own === '__unfit' ? ':' : '';
  // Names may have been swapped: each becomes something first that no JSON has.
  const steps = [
    ...names.map(([from], index) => [JSON.stringify(from) + end, `""${index}""`]),
    ...names.map(([, to], index) => [`""${index}""`, JSON.stringify(to) + end]),
  ];
  return steps.reduce(
    (value, [from = '', to = '']) => `replace(${value}, ${sqlString(from)}, ${sqlString(to)})`,
    sqlIdentifier(own),
  );
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
