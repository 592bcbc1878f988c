/** A node of a graph that reads from left to right. */
export type GraphNode = Readonly<{
  id: string;
  label: string;
  kind: 'source' | 'model';
  /** Where a click leads. */
  href?: string;
  /** Ids of nodes, all to the left of this one. */
  after: readonly string[];
}>;

type Placed = GraphNode & Readonly<{ x: number; y: number }>;

const COLUMN = 260;
const ROW = 52;
const BOX = { width: 200, height: 34 };
const MARGIN = 12;

/** Draws the graph as SVG. Nodes come after those that they are after. */
export function graphSvg(nodes: readonly GraphNode[]): string {
  const placed = place(nodes);
  const byId = new Map(placed.map((node) => [node.id, node]));
  const width = Math.max(0, ...placed.map(({ x }) => x)) + BOX.width + MARGIN;
  const height = Math.max(0, ...placed.map(({ y }) => y)) + BOX.height + MARGIN;
  const edges = placed.flatMap((node) =>
    node.after.flatMap((id) => {
      const from = byId.get(id);
      return from === undefined ? [] : edge(from, node);
    }),
  );
  return [
    `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="what reads what">`,
    ...edges,
    ...placed.map(box),
    '</svg>',
  ].join('\n');
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Each in the column after the last of those it is after, near the middle of their rows. */
function place(nodes: readonly GraphNode[]): readonly Placed[] {
  const column = new Map<string, number>();
  const row = new Map<string, number>();
  const columns: string[][] = [];
  for (const { id, after } of nodes) {
    const at = Math.max(-1, ...after.map((each) => column.get(each) ?? -1)) + 1;
    column.set(id, at);
    (columns[at] ??= []).push(id);
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const ids of columns) {
    const middle = (id: string) => {
      const rows = (byId.get(id)?.after ?? []).map((each) => row.get(each) ?? 0);
      return rows.length === 0 ? 0 : rows.reduce((sum, each) => sum + each, 0) / rows.length;
    };
    for (const [index, id] of ids.toSorted((a, b) => middle(a) - middle(b)).entries())
      row.set(id, index);
  }
  return nodes.map((node) => ({
    ...node,
    x: MARGIN + (column.get(node.id) ?? 0) * COLUMN,
    y: MARGIN + (row.get(node.id) ?? 0) * ROW,
  }));
}

function edge(from: Placed, to: Placed): string {
  const [x1, y1] = [from.x + BOX.width, from.y + BOX.height / 2];
  const [x2, y2] = [to.x, to.y + BOX.height / 2];
  const bend = (x2 - x1) / 2;
  return `<path class="edge" d="M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}"/>`;
}

function box({ x, y, label, kind, href }: Placed): string {
  const shown = label.length > 26 ? `${label.slice(0, 25)}…` : label;
  const drawing = [
    `<rect class="${kind}" x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="6"/>`,
    `<text x="${x + 10}" y="${y + 22}">${escapeHtml(shown)}</text><title>${escapeHtml(label)}</title>`,
  ].join('');
  return href === undefined ? `<g>${drawing}</g>` : `<a href="${escapeHtml(href)}">${drawing}</a>`;
}
