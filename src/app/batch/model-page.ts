import type { SqlColumn } from '../../ports/sql-engine.ts';
import { counted } from '../../lib/counted.ts';
import type { Model, ModelTest } from '../../batch/models/model.ts';
import { escapeHtml, type GraphNode, graphSvg } from './model-graph.ts';

/** What the page tells of a model. */
export type DocumentedModel = Readonly<{
  model: Model;
  columns: readonly SqlColumn[];
  /** As `schema.table`. */
  sources: readonly string[];
  /** By column of the model: where its values come from, such as `orders.total`. */
  origins: Readonly<Record<string, readonly string[]>>;
  sql: string;
  lastBuiltAtMs?: number;
  /** A view keeps none. */
  rowCount?: number;
}>;

/** One page that needs nothing else. Models come after those that they read. */
export function modelPage(title: string, models: readonly DocumentedModel[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${counted(models.length, 'model')}</p>
</header>
<div class="graph">
${graphSvg(graphOf(models))}
</div>
<main>
${models.map(section).join('\n')}
</main>
</body>
</html>
`;
}

function graphOf(models: readonly DocumentedModel[]): readonly GraphNode[] {
  const sources = [...new Set(models.flatMap((each) => each.sources))].toSorted();
  return [
    ...sources.map((source) => ({
      id: `source ${source}`,
      label: source,
      kind: 'source' as const,
      after: [],
    })),
    ...models.map(({ model, sources: read }) => ({
      id: `model ${model.name}`,
      label: model.name,
      kind: 'model' as const,
      href: `#${model.name}`,
      after: [...read.map((each) => `source ${each}`), ...model.refs.map((ref) => `model ${ref}`)],
    })),
  ];
}

function section(documented: DocumentedModel): string {
  const { model, sql } = documented;
  const { name, header, file } = model;
  return `<section id="${name}">
<h2><a href="#${name}">${name}</a></h2>
${header.description === undefined ? '' : `<p>${escapeHtml(header.description)}</p>\n`}<dl>
${facts(documented)
  .map(([term, value]) => `<dt>${term}</dt><dd>${value}</dd>`)
  .join('\n')}
</dl>
<table>
<thead><tr><th>column</th><th>type</th><th>what it is</th><th>comes from</th><th>tests</th></tr></thead>
<tbody>
${columnRows(documented).join('\n')}
</tbody>
</table>
${testList(header.tests)}<details><summary>${escapeHtml(file)}</summary><pre>${escapeHtml(model.sql.trim())}</pre></details>
<details><summary>SQL as it is run</summary><pre>${escapeHtml(sql.trim())}</pre></details>
</section>`;
}

function facts(documented: DocumentedModel): readonly (readonly [string, string])[] {
  const { model, sources, lastBuiltAtMs, rowCount } = documented;
  const { header, refs } = model;
  const reads = [...refs.map((ref) => `<a href="#${ref}">${ref}</a>`), ...sources.map(escapeHtml)];
  const made =
    lastBuiltAtMs === undefined
      ? 'never'
      : `${new Date(lastBuiltAtMs).toISOString()}${rowCount === undefined ? '' : `, ${counted(rowCount, 'row')}`}`;
  const all: readonly (readonly [string, string])[] = [
    ['kept as', header.materialization.replaceAll('_', ' ')],
    ['reads', reads.join(', ')],
    ['tags', escapeHtml(header.tags.join(', '))],
    ['owner', escapeHtml(header.owner ?? '')],
    ['served as', header.serve.map(({ key }) => `<code>${escapeHtml(key)}</code>`).join(', ')],
    ['last made', made],
  ];
  return all.filter(([, value]) => value !== '');
}

function columnRows({ model, columns, origins }: DocumentedModel): readonly string[] {
  return columns.map(({ name, type }) => {
    const tests = model.header.tests.filter((test) => columnsOf(test).includes(name));
    const cells = [
      `<code>${escapeHtml(name)}</code>`,
      `<code>${escapeHtml(type)}</code>`,
      escapeHtml(model.header.columns[name]?.description ?? ''),
      (origins[name] ?? []).map(escapeHtml).join(', '),
      tests.map((test) => escapeHtml(saying(test))).join(', '),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
}

/** Those of no column. */
function testList(tests: readonly ModelTest[]): string {
  const others = tests.filter((test) => columnsOf(test).length === 0);
  if (others.length === 0) return '';
  const items = others.map(
    (test) => `<li><code>${escapeHtml(test.name)}</code>: ${escapeHtml(saying(test))}</li>`,
  );
  return `<ul>\n${items.join('\n')}\n</ul>\n`;
}

function columnsOf(test: ModelTest): readonly string[] {
  if ('columns' in test) return test.columns;
  return 'column' in test ? [test.column] : [];
}

function saying(test: ModelTest): string {
  const warned = test.severity === 'warn' ? ' (warns)' : '';
  return words(test) + warned;
}

function words(test: ModelTest): string {
  switch (test.kind) {
    case 'unique':
      return test.columns.length === 1 ? 'unique' : `unique with ${test.columns.join(', ')}`;
    case 'not_null':
      return 'never null';
    case 'accepted_values':
      return `one of ${test.values.join(', ')}`;
    case 'relationships':
      return `in ${'ref' in test.to ? test.to.ref : test.to.source}.${test.field}`;
    case 'expression':
      return test.expression;
    case 'row_count':
      return [
        ...(test.min === undefined ? [] : [`at least ${counted(test.min, 'row')}`]),
        ...(test.max === undefined ? [] : [`at most ${counted(test.max, 'row')}`]),
      ].join(', ');
    case 'freshness':
      return `newest at most ${test.maxAgeSeconds} s old`;
    case 'sql':
      return test.sql.trim();
    default:
      return test satisfies never;
  }
}

const STYLE = `:root { color-scheme: light dark; --line: #8884; --model: #3b82f6; --source: #10b981; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1.5rem; }
.graph { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
rect { fill: transparent; stroke-width: 1.5; }
rect.model { stroke: var(--model); }
rect.source { stroke: var(--source); stroke-dasharray: 4 3; }
svg text { font: 13px ui-monospace, monospace; fill: currentColor; }
.edge { fill: none; stroke: #888; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
h2 a { color: inherit; text-decoration: none; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dt { opacity: 0.7; }
dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem 0.3rem 0; text-align: left; vertical-align: top; }
pre { overflow-x: auto; background: #8881; padding: 0.8rem; border-radius: 6px; }
summary { cursor: pointer; margin-top: 0.6rem; }
`;
