import type { SqlColumn } from '../../ports/sql-engine.ts';
import type { Model } from '../models/model.ts';
import { isDirect } from './influence.ts';
import type { ColumnOrigin, LineageGraph, LineageNode } from './lineage-graph.ts';

/*
 * Events and facets as https://openlineage.io/spec/2-0-2/OpenLineage.json has them, and datasets named
 * by https://openlineage.io/docs/spec/naming.
 */

/** What names are told by. */
export type OpenLineageNames = Readonly<{
  /** Who sends: an address that tells program and version. */
  producer: string;
  pipeline: string;
  /** Of the source: `postgres://host:port`. */
  sourceNamespace: string;
  database: string;
}>;

export type Facets = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
export type Dataset = Readonly<{ namespace: string; name: string; facets?: Facets }>;
export type InputDataset = Dataset & Readonly<{ inputFacets?: Facets }>;
export type OutputDataset = Dataset & Readonly<{ outputFacets?: Facets }>;
export type Job = Readonly<{ namespace: string; name: string; facets?: Facets }>;

type Event = Readonly<{ eventTime: string; producer: string; schemaURL: string }>;

/** What a job reads and makes, whether it has run or not. */
export type JobEvent = Event &
  Readonly<{ job: Job; inputs: readonly InputDataset[]; outputs: readonly OutputDataset[] }>;

export type RunEvent = JobEvent &
  Readonly<{
    eventType: 'START' | 'COMPLETE' | 'ABORT' | 'FAIL';
    run: Readonly<{ runId: string; facets?: Facets }>;
  }>;

const SPEC = 'https://openlineage.io/spec';

export function eventOf(
  kind: 'RunEvent' | 'JobEvent',
  { producer }: OpenLineageNames,
  atMs: number,
): Event {
  return {
    eventTime: new Date(atMs).toISOString(),
    producer,
    schemaURL: `${SPEC}/2-0-2/OpenLineage.json#/$defs/${kind}`,
  };
}

/** `version` is that of the facet's own schema. */
export function facet<Values extends Readonly<Record<string, unknown>>>(
  { producer }: OpenLineageNames,
  schema: string,
  version: string,
  values: Values,
): Values & Readonly<{ _producer: string; _schemaURL: string }> {
  const schemaUrl = `${SPEC}/facets/${version}/${schema}.json#/$defs/${schema}`;
  return { _producer: producer, _schemaURL: schemaUrl, ...values };
}

/** One event for each selected model of the graph. */
export function jobEvents(
  graph: LineageGraph,
  names: OpenLineageNames,
  atMs: number,
): readonly JobEvent[] {
  return graph.nodes.flatMap((node) => {
    if (node.kind !== 'model' || !node.isSelected) return [];
    return {
      ...eventOf('JobEvent', names, atMs),
      job: modelJob(node.model, names),
      ...datasetsOf(node, graph, names),
    };
  });
}

export function modelJob({ name, sql, header }: Model, names: OpenLineageNames): Job {
  const { description } = header;
  return {
    namespace: jobNamespace(names),
    name: `models.${name}`,
    facets: {
      jobType: jobType(names, 'MODEL'),
      // As the file has it: what variables hold is nobody's business.
      sql: facet(names, 'SQLJobFacet', '1-1-0', { query: sql.trim() }),
      ...(description !== undefined && {
        documentation: facet(names, 'DocumentationJobFacet', '1-1-0', { description }),
      }),
    },
  };
}

export function jobNamespace({ pipeline }: OpenLineageNames): string {
  return `millrace://${pipeline}`;
}

export function jobType(names: OpenLineageNames, type: string): Facets[string] {
  const values = { processingType: 'BATCH', integration: 'MILLRACE', jobType: type };
  return facet(names, 'JobTypeJobFacet', '2-0-3', values);
}

/** What a model reads, and itself. */
export function datasetsOf(
  node: Extract<LineageNode, { kind: 'model' }>,
  { nodes, edges }: LineageGraph,
  names: OpenLineageNames,
): Readonly<{ inputs: readonly InputDataset[]; outputs: readonly OutputDataset[] }> {
  const byId = new Map(nodes.map((each) => [each.id, each]));
  const before = (id: string): readonly string[] =>
    edges.filter(({ to }) => to === id).map(({ from }) => from);
  // A topic is how a table's rows come here, and no dataset of its own to who asks for columns.
  const read = before(node.id).flatMap((id) =>
    byId.get(id)?.kind === 'topic' ? before(id) : [id],
  );
  const inputs = read.flatMap((id) => {
    const each = byId.get(id);
    if (each === undefined || !('columns' in each)) return [];
    return { ...nameOf(each, names), facets: { schema: schemaFacet(each.columns, names) } };
  });
  const columnLineage = columnLineageFacet(node, byId, names);
  const facets = {
    schema: schemaFacet(node.columns, names),
    ...(columnLineage !== undefined && { columnLineage }),
  };
  return { inputs, outputs: [{ ...nameOf(node, names), facets }] };
}

export function modelDataset(name: string): Dataset {
  return { namespace: 'millrace://models', name };
}

function nameOf(
  node: Readonly<{ kind: 'table'; schema: string; name: string }> | LineageNode,
  { sourceNamespace, database }: OpenLineageNames,
): Dataset {
  if (node.kind !== 'table') return modelDataset(node.name);
  return { namespace: sourceNamespace, name: `${database}.${node.schema}.${node.name}` };
}

function schemaFacet(columns: readonly SqlColumn[], names: OpenLineageNames): Facets[string] {
  const fields = columns.map(({ name, type }) => ({ name, type }));
  return facet(names, 'SchemaDatasetFacet', '1-2-0', { fields });
}

function columnLineageFacet(
  { origins }: Extract<LineageNode, { kind: 'model' }>,
  nodes: ReadonlyMap<string, LineageNode>,
  names: OpenLineageNames,
): Facets[string] | undefined {
  const fieldsOf = (from: readonly ColumnOrigin[]): readonly unknown[] =>
    [...Map.groupBy(from, ({ node, column }) => JSON.stringify([node, column])).values()].flatMap(
      (same) => {
        const [first] = same;
        const node = first && nodes.get(first.node);
        if (first === undefined || node === undefined) return [];
        const transformations = same.map((origin) => ({
          type: isDirect(origin) ? 'DIRECT' : 'INDIRECT',
          subtype: origin.kind,
          description: '',
          masking: false,
        }));
        return { ...nameOf(node, names), field: first.column, transformations };
      },
    );
  const fields = Object.fromEntries(
    [...origins.columns].map(([column, from]) => [column, { inputFields: fieldsOf(from) }]),
  );
  if (Object.keys(fields).length === 0) return undefined;
  const dataset = fieldsOf(origins.rows);
  return facet(names, 'ColumnLineageDatasetFacet', '1-2-0', { fields, dataset });
}
