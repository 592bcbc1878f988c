import type { SqlColumn } from '../../ports/sql-engine.ts';
import type { CompiledModel } from '../models/compile.ts';
import type { Model } from '../models/model.ts';
import { fullName, sourceName, type SourceTable } from '../models/source-table.ts';
import { columnLineage } from './column-lineage.ts';
import type { Influence } from './influence.ts';

/** What data flows through; `id` is its address wherever lineage is shown. */
export type LineageNode = Readonly<{ id: string; name: string }> &
  (
    | Readonly<{ kind: 'table'; schema: string; columns: readonly SqlColumn[] }>
    | Readonly<{ kind: 'topic' }>
    | Readonly<{
        kind: 'model';
        model: Model;
        /** Others are there as these read them; what they read themselves is not. */
        isSelected: boolean;
        columns: readonly SqlColumn[];
        /** Where its columns come from; those are missing of which it can't be told. */
        origins: ModelOrigins;
      }>
    /** `keys`: as models write them, with `{run_time}` where they have it. */
    | Readonly<{ kind: 'stored'; keys: readonly string[] }>
  );

export type LineageEdge = Readonly<{ from: string; to: string }>;

export type LineageGraph = Readonly<{
  /** Those that others come from first. */
  nodes: readonly LineageNode[];
  edges: readonly LineageEdge[];
}>;

/** By column of the model: the columns of nodes that it comes from. */
export type ModelOrigins = Readonly<{
  columns: ReadonlyMap<string, readonly ColumnOrigin[]>;
  /** What decides which rows there are. */
  rows: readonly ColumnOrigin[];
}>;

export type ColumnOrigin = Readonly<{ node: string; column: string; kind: Influence['kind'] }>;

export type LineageOptions = Readonly<{
  /** What is drawn; of other models, only those that these read. */
  selected: ReadonlySet<string>;
  /** All of the project, each after those it reads. */
  models: readonly CompiledModel[];
  sources: readonly SourceTable[];
  /** Of the source. */
  database: string;
  /** Of a table, where it is known. */
  topicOf: (table: SourceTable) => string | undefined;
  /** Names of functions that make one value of many rows. */
  aggregates: ReadonlySet<string>;
}>;

/** Tables, their topics, models, and what of them is stored, as far as they have to do with the selected models. */
export function lineageGraph(options: LineageOptions): LineageGraph {
  const nodes = new Map<string, LineageNode>();
  const edges: LineageEdge[] = [];
  const models = new Map(options.models.map((each) => [each.model.name, each]));
  const addModel = (compiled: CompiledModel): string => {
    const node = modelNode(compiled, options);
    nodes.set(node.id, node);
    return node.id;
  };
  for (const compiled of options.models) {
    if (!options.selected.has(compiled.model.name)) continue;
    const tables = options.sources.filter((table) => compiled.sources.includes(fullName(table)));
    const read = tables.map((table) => {
      const path = [tableNode(table, options), ...topicNode(table, options)];
      for (const node of path) nodes.set(node.id, node);
      const [from, to] = path.map(({ id }) => id);
      if (from !== undefined && to !== undefined) edges.push({ from, to });
      return to ?? from ?? '';
    });
    for (const name of compiled.dependsOn) {
      const other = models.get(name);
      if (other !== undefined) read.push(nodes.get(modelId(name))?.id ?? addModel(other));
    }
    const id = addModel(compiled);
    for (const from of read) edges.push({ from, to: id });
    for (const stored of storedNodes(compiled.model)) {
      nodes.set(stored.id, stored);
      edges.push({ from: id, to: stored.id });
    }
  }
  const distinct = new Map(edges.map((edge) => [`${edge.from} ${edge.to}`, edge]));
  return { nodes: [...nodes.values()], edges: [...distinct.values()] };
}

export function modelId(name: string): string {
  return `millrace://models/${name}`;
}

function tableNode(table: SourceTable, { database }: LineageOptions): LineageNode {
  const { schema, name, columns } = table;
  return { kind: 'table', id: `postgres://${database}/${schema}/${name}`, name, schema, columns };
}

function topicNode(table: SourceTable, { topicOf }: LineageOptions): readonly LineageNode[] {
  const name = topicOf(table);
  return name === undefined ? [] : [{ kind: 'topic', id: `millrace://topics/${name}`, name }];
}

function modelNode(compiled: CompiledModel, options: LineageOptions): LineageNode {
  const { model, columns } = compiled;
  const origins = originsOf(compiled, options);
  const { name } = model;
  const isSelected = options.selected.has(name);
  return { kind: 'model', id: modelId(name), name, model, isSelected, columns, origins };
}

/** Keys that differ in their last part are one thing, of several times: `x:latest`, `x:{run_time}`. */
function storedNodes({ header }: Model): readonly LineageNode[] {
  const keys = header.serve.map(({ key }) => key);
  return [...Map.groupBy(keys, (key) => key.replace(/:[^:]*$/, ''))].map(([name, same]) => ({
    kind: 'stored',
    id: `millrace://store/${name}`,
    name,
    keys: same,
  }));
}

function originsOf({ ast, columns }: CompiledModel, options: LineageOptions): ModelOrigins {
  const relations = relationsOf(options);
  const traced = columnLineage(ast, {
    columnsOf: (name) => relations.get(name)?.columns.map((column) => column.name),
    aggregates: options.aggregates,
  });
  const origin = ({ relation, column, kind }: Influence): readonly ColumnOrigin[] => {
    const node = relations.get(relation)?.node;
    return node === undefined ? [] : [{ node, column, kind }];
  };
  // Names are those that the engine gives; where the numbers differ, none can be told.
  const found = traced.columns?.length === columns.length ? traced.columns : [];
  return {
    columns: new Map(
      found.flatMap(({ influences }, index) => {
        const name = columns[index]?.name;
        return name === undefined || influences === undefined
          ? []
          : [[name, influences.flatMap(origin)] as const];
      }),
    ),
    rows: traced.rows.flatMap(origin),
  };
}

/** By the name that SQL has for it. */
function relationsOf(
  options: LineageOptions,
): ReadonlyMap<string, Readonly<{ node: string; columns: readonly SqlColumn[] }>> {
  return new Map([
    ...options.sources.map((table) => {
      const { id: node } = tableNode(table, options);
      return [sourceName(table), { node, columns: table.columns }] as const;
    }),
    ...options.models.map(
      ({ model, columns }) => [model.name, { node: modelId(model.name), columns }] as const,
    ),
  ]);
}
