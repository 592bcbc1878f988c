import { Command, Option } from 'commander';
import {
  type ColumnOrigin,
  type LineageGraph,
  type LineageNode,
  mermaid,
  projectLineage,
} from '../../app/batch/lineage.ts';
import { type Context, dataDirOf, pipelineDirOf } from '../context.ts';
import { withExamples } from '../examples.ts';

const FORMATS = ['text', 'json', 'mermaid', 'openlineage'] as const;
type Flags = Readonly<{ columns?: true; format: (typeof FORMATS)[number]; json?: true }>;

export function lineageCommand(context: Context): Command {
  const command = new Command('lineage')
    .description(
      'print what models come from, and where they are served: tables, topics, models, keys',
    )
    .argument(
      '[selection...]',
      'name, +name (and what it reads), name+ (and what reads it), tag:name, source:table+; default: all',
    )
    .option('--columns', 'also where each column comes from, where it can be told')
    .addOption(
      new Option('--format <format>', 'openlineage: one event a model, each on a line')
        .choices(FORMATS)
        .default('text'),
    )
    .addOption(new Option('--json', 'print one JSON object: nodes and edges').conflicts('format'))
    .action(async (select: string[], { columns, format, json }: Flags) => {
      const { terminal, signal } = context;
      const at = {
        dataDir: dataDirOf(context, command),
        pipelineDir: pipelineDirOf(context, command),
        env: context.environment(),
      };
      const { graph, events } = await projectLineage(at, select, signal);
      if (json === true || format === 'json')
        await terminal.printJson(jsonOf(graph, columns === true));
      else if (format === 'openlineage')
        for (const event of events) await terminal.printJson(event);
      else
        await terminal.printAll(
          format === 'mermaid' ? mermaid(graph) : linesOf(graph, columns === true),
        );
    });
  return withExamples(
    command,
    'millrace lineage',
    'millrace lineage +customer_segments --columns',
    'millrace lineage --format mermaid',
    'millrace lineage tag:daily --json',
  );
}

function linesOf(graph: LineageGraph, columns: boolean): string[] {
  const { nodes, edges } = graph;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const name = (id: string): string => labelOf(byId.get(id), id);
  const shown = nodes.filter((node) => node.kind === 'model' && node.isSelected);
  if (shown.length === 0) return ['No models yet.'];
  return shown.flatMap((node, index) => {
    const before = (id: string): readonly string[] =>
      edges.filter(({ to }) => to === id).map(({ from }) => from);
    const reads = before(node.id)
      .flatMap((id) => (byId.get(id)?.kind === 'topic' ? before(id) : [id]))
      .map(name);
    const serves = edges.flatMap(({ from, to }) => {
      const stored = byId.get(to);
      return from === node.id && stored?.kind === 'stored' ? stored.keys : [];
    });
    return [
      ...(index === 0 ? [] : ['']),
      node.name,
      `  reads   ${reads.join(', ') || 'nothing'}`,
      ...(serves.length === 0 ? [] : [`  serves  ${serves.join(', ')}`]),
      ...(columns ? columnLines(node, name) : []),
    ];
  });
}

function columnLines(node: LineageNode, name: (id: string) => string): string[] {
  if (node.kind !== 'model') return [];
  const { columns, rows } = node.origins;
  const width = Math.max(4, ...node.columns.map((column) => column.name.length));
  const line = (title: string, origins: readonly ColumnOrigin[] | undefined): string => {
    const from = [...Map.groupBy(origins ?? [], (each) => `${name(each.node)}.${each.column}`)];
    const text = from.map(
      ([column, ways]) =>
        `${column} (${ways.map(({ kind }) => kind.toLowerCase().replace('_', ' ')).join(', ')})`,
    );
    const found = text.join(', ') || 'nothing that is read';
    return `  ${title.padEnd(width)}  ← ${origins === undefined ? '?' : found}`;
  };
  return [
    ...node.columns.map((column) => line(column.name, columns.get(column.name))),
    ...(rows.length === 0 ? [] : [line('rows', rows)]),
  ];
}

function labelOf(node: LineageNode | undefined, id: string): string {
  if (node === undefined) return id;
  return node.kind === 'table' ? `${node.schema}.${node.name}` : node.name;
}

function jsonOf({ nodes, edges }: LineageGraph, columns: boolean): unknown {
  return {
    nodes: nodes.map((node) => ({
      id: node.id,
      kind: node.kind,
      name: node.name,
      ...(node.kind === 'stored' && { keys: node.keys }),
      ...(node.kind === 'model' && { file: node.model.file }),
    })),
    edges,
    ...(columns && {
      columns: nodes.flatMap((node) =>
        node.kind === 'model'
          ? [...node.origins.columns].flatMap(([column, origins]) =>
              origins.map((from) => ({ from, to: { node: node.id, column } })),
            )
          : [],
      ),
      rows: nodes.flatMap((node) =>
        node.kind === 'model'
          ? node.origins.rows.map((from) => ({ from, to: { node: node.id } }))
          : [],
      ),
    }),
  };
}
