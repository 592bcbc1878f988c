import type { LineageGraph, LineageNode } from './lineage-graph.ts';

/** By kind: what stands around a label. */
const SHAPES: Readonly<Record<LineageNode['kind'], readonly [open: string, close: string]>> = {
  table: ['[(', ')]'],
  topic: ['[[', ']]'],
  model: ['[', ']'],
  stored: ['([', '])'],
};

/** A flowchart for Mermaid, as Markdown renderers draw it. */
export function mermaid({ nodes, edges }: LineageGraph): string[] {
  const numbers = new Map(nodes.map(({ id }, index) => [id, `n${index + 1}`]));
  return [
    'flowchart LR',
    ...nodes.map((node) => {
      const [open, close] = SHAPES[node.kind];
      return `  ${numbers.get(node.id)}${open}"${escaped(labelOf(node))}"${close}`;
    }),
    ...edges.map(({ from, to }) => `  ${numbers.get(from)} --> ${numbers.get(to)}`),
  ];
}

function labelOf(node: LineageNode): string {
  return node.kind === 'table' ? `${node.schema}.${node.name}` : node.name;
}

/** Mermaid takes entities, with their number. */
function escaped(text: string): string {
  return text.replaceAll(/[^\w .:,-]/gu, (character) => `#${character.codePointAt(0)};`);
}
