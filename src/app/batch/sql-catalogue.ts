import { copyingWarning } from '../../batch/lake/copying-text.ts';
import { inlineFiles } from '../../batch/lake/inline-files.ts';
import type { Lake } from '../../batch/lake/lake.ts';
import type { LakeModel, LakeTable, Manifest } from '../../batch/lake/manifest.ts';
import { CHANGE_COLUMNS } from '../../batch/lake/row-source.ts';
import { changesOf, stateOf } from '../../batch/lake/state.ts';
import { sqlIdentifier } from '../../batch/models/literal.ts';
import type { SqlColumn } from '../../ports/sql-engine.ts';
import { lakeFacts } from './sql-facts.ts';

/** What a question may name. */
export type NamedRelation = Readonly<{
  schema: string;
  name: string;
  /** Undefined where only its SQL tells. */
  columns: readonly SqlColumn[] | undefined;
  /** One SELECT. May throw `lake_horizon`. */
  sql: () => string;
  /** Whether its SQL names others that stand here. */
  namesOthers: boolean;
  /** What is to be known of its rows, beside them. */
  warning?: string | undefined;
  /** As the source has it, where it differs but for case from the name of another. */
  nameAtSource?: string;
}>;

/** Schemas of the lake's own; one of the source that is called so gets a `_` at its end. */
const OWN_SCHEMAS = ['models', 'changes', 'lake'] as const;
/** Where names without a schema are looked for. */
export const SEARCHED_SCHEMAS: readonly string[] = ['models', 'public'];

/**
 * All that one version of the lake holds, under the names that `millrace sql` knows: tables as they
 * are (or were at `atMs`) under their own schema, `changes.<table>`, `models.<model>`, and facts of
 * the lake itself, `lake.<what>`. Nothing is opened to list them.
 */
export class SqlCatalogue {
  readonly relations: readonly NamedRelation[];
  readonly #byName: ReadonlyMap<string, NamedRelation>;

  constructor(
    lake: Pick<Lake, 'path'>,
    { manifest, atMs }: Readonly<{ manifest: Manifest; atMs: number | undefined }>,
  ) {
    const known = Object.values(manifest.tables).filter(({ schemas }) => schemas.length > 0);
    const tables = known.filter(({ schema }) => schema !== '');
    const messages = known.filter(({ schema }) => schema === '');
    this.relations = toldApart([
      ...tables.map((table) => stateRelation(lake, table, atMs)),
      ...tables.map((table) => changesRelation(lake, table)),
      ...Object.values(manifest.models).map((model) => modelRelation(lake, model)),
      ...messages.map((table) => messagesRelation(lake, table)),
      ...lakeFacts(manifest).map((fact) => ({ ...fact, schema: 'lake', namesOthers: false })),
    ]);
    this.#byName = new Map(
      this.relations.map((relation) => [keyOf(relation.schema, relation.name), relation]),
    );
  }

  get schemas(): readonly string[] {
    const schemas = this.relations.map(({ schema }) => schema);
    return [...new Set([...SEARCHED_SCHEMAS, ...schemas])];
  }

  /** Those that a name may stand for; without a schema, more than one of them is a riddle. */
  find(schema: string, name: string): readonly NamedRelation[] {
    const schemas = schema === '' ? SEARCHED_SCHEMAS : [schema];
    return schemas.flatMap((each) => this.#byName.get(keyOf(each, name)) ?? []);
  }

  /** One that the source calls so, and that has another name here. */
  findRenamed(schema: string, name: string): NamedRelation | undefined {
    const schemas = schema === '' ? SEARCHED_SCHEMAS : [schema];
    return this.relations.find(
      (each) => each.nameAtSource === name && schemas.includes(each.schema),
    );
  }
}

export function sqlName({ schema, name }: Pick<NamedRelation, 'schema' | 'name'>): string {
  return `${sqlIdentifier(schema)}.${sqlIdentifier(name)}`;
}

/** Names are the same in any case, as DuckDB has it. */
function keyOf(schema: string, name: string): string {
  return sqlName({ schema, name }).toLowerCase();
}

/** As columns of such names: the second gets a `_2`. */
function toldApart(relations: readonly NamedRelation[]): readonly NamedRelation[] {
  const taken = new Set<string>();
  return relations.map((relation) => {
    const { schema, name: nameAtSource } = relation;
    let name = nameAtSource;
    for (let nth = 2; taken.has(keyOf(schema, name)); nth += 1) name = `${nameAtSource}_${nth}`;
    taken.add(keyOf(schema, name));
    return name === nameAtSource ? relation : { ...relation, name, nameAtSource };
  });
}

function stateRelation(
  lake: Pick<Lake, 'path'>,
  table: LakeTable,
  atMs: number | undefined,
): NamedRelation {
  const isOwn = OWN_SCHEMAS.some((own) => own === table.schema.toLowerCase());
  return {
    schema: isOwn ? `${table.schema}_` : table.schema,
    name: table.name,
    columns: todaysColumns(table),
    sql: () => inlineFiles(stateOf(lake, table, atMs === undefined ? undefined : { timeMs: atMs })),
    namesOthers: false,
    warning: copyingWarning(table, atMs),
  };
}

function changesRelation(lake: Pick<Lake, 'path'>, table: LakeTable): NamedRelation {
  return {
    schema: 'changes',
    name: table.schema === 'public' ? table.name : `${table.schema}.${table.name}`,
    columns: [...todaysColumns(table), ...CHANGE_COLUMNS],
    sql: () => inlineFiles(changesOf(lake, table)),
    namesOthers: false,
  };
}

/** Logical messages of transactions, which are of no table. */
function messagesRelation(lake: Pick<Lake, 'path'>, table: LakeTable): NamedRelation {
  return { ...changesRelation(lake, table), schema: 'lake', name: 'messages' };
}

function modelRelation(lake: Pick<Lake, 'path'>, model: LakeModel): NamedRelation {
  const { name, sql } = model;
  return {
    schema: 'models',
    name,
    columns: model.columns.length === 0 ? undefined : model.columns,
    sql: () => sql ?? inlineFiles(resultOf(lake, model)),
    namesOthers: sql !== undefined,
  };
}

function resultOf(lake: Pick<Lake, 'path'>, { name, files, columns }: LakeModel) {
  const relation = { name, files: files.map(({ path }) => lake.path(path)), columns };
  return { relations: [relation], sql: `SELECT * FROM ${sqlIdentifier(name)}`, columns };
}

function todaysColumns({ schemas }: LakeTable): readonly SqlColumn[] {
  return schemas.at(-1)?.columns.map(({ name, type }) => ({ name, type })) ?? [];
}
