import type { OperatorOutline, Outline, StageOutline } from './outline.ts';

/** Lines for people: the stages, each with its operators in the order in which elements pass them. */
export function textOf({ processor, version, hash, stages, writes, serves }: Outline): string[] {
  const head =
    version === undefined ? `${processor} (code)` : `${processor} version ${version} (${hash})`;
  const list = (title: string, items: readonly string[]): string[] =>
    items.length === 0 ? [] : ['', `  ${title}`, ...items.map((item) => `    ${item}`)];
  return [
    head,
    ...stages.flatMap((stage) => ['', ...stageLines(stage)]),
    ...list(
      'writes',
      writes.map(
        ({ topic, partitions, isInternal }) =>
          `${topic}  ${counted(partitions)}${isInternal ? ', internal' : ''}`,
      ),
    ),
    ...list(
      'serves keys under',
      serves.map((prefix) => JSON.stringify(prefix)),
    ),
  ];
}

function stageLines({ topic, format, partitions, upstream, operators }: StageOutline): string[] {
  const from = upstream.length === 0 ? '' : `, from ${upstream.join(' and ')}`;
  return [
    `  stage ${topic}  ${format}, ${counted(partitions)}${from}`,
    ...operators.map((operator) => `    ${operatorLine(operator)}`),
  ];
}

function operatorLine(operator: OperatorOutline): string {
  const { name, inputs, isEntry, isStateful, repartitions, serves, writes } = operator;
  const from = [
    ...(isEntry ? ['the topic'] : []),
    ...inputs.map((input) => (input.port === '' ? input.operator : portName(input))),
  ];
  const title = titleOf(operator);
  return [
    name,
    title === '' ? '' : ` (${title})`,
    isStateful ? ', keeps state' : '',
    ` <- ${from.join(' and ')}`,
    ...repartitions.map((topic) => ` => ${topic}`),
    writes === undefined ? '' : ` => ${writes}`,
    serves === undefined ? '' : ` => keys "${serves}…"`,
  ].join('');
}

/** Its kind, where the name does not tell, and its settings. */
function titleOf({ name, kind, settings }: OperatorOutline): string {
  const isTold = name === kind || (name.startsWith(kind) && /^-\d+$/.test(name.slice(kind.length)));
  const shown = Object.entries(settings).map(([key, value]) => `${key} ${value}`);
  return [...(isTold ? [] : [kind]), ...shown].join(', ');
}

/**
 * A Mermaid flowchart: topics are cylinders, stages are boxes around their operators. Names stand
 * only in quoted labels, so that none is taken for syntax.
 */
export function mermaidOf(outlines: readonly Outline[]): string[] {
  const ids = new Ids();
  const topics = new Map<string, string>();
  const edges: string[] = [];
  const topicId = (topic: string): string => {
    const id = ids.of(`topic ${topic}`);
    topics.set(id, topic);
    return id;
  };
  const boxes = outlines.flatMap((outline) => {
    const { processor, stages } = outline;
    const lines = stages.flatMap((stage) => stageBox(outline, stage, ids, topicId, edges));
    return [
      `  subgraph ${ids.of(`processor ${processor}`)}[${quoted(processor)}]`,
      ...lines,
      '  end',
    ];
  });
  return [
    'flowchart LR',
    ...boxes,
    ...[...topics].map(([id, topic]) => `  ${id}[(${quoted(topic)})]`),
    ...edges,
  ];
}

function stageBox(
  { processor }: Outline,
  { topic, operators }: StageOutline,
  ids: Ids,
  topicId: (topic: string) => string,
  edges: string[],
): string[] {
  const idOf = (operator: string): string => ids.of(`operator ${processor} ${topic} ${operator}`);
  const stage = ids.of(`stage ${processor} ${topic}`);
  const edge = (from: string, to: string, label = ''): void => {
    edges.push(`  ${from} -->${label === '' ? '' : `|${quoted(label)}|`} ${to}`);
  };
  if (operators.length === 0) {
    edge(topicId(topic), stage);
    return [`    ${stage}[${quoted('code')}]`];
  }
  const lines = operators.map((operator) => {
    const { name, inputs, isEntry, isStateful, repartitions, writes, serves } = operator;
    const id = idOf(name);
    if (isEntry) edge(topicId(topic), id);
    for (const input of inputs) edge(idOf(input.operator), id, input.port);
    for (const to of [...repartitions, ...(writes === undefined ? [] : [writes])])
      edge(id, topicId(to));
    if (serves !== undefined) {
      const keys = ids.of(`keys ${processor} ${serves}`);
      edge(id, keys);
      edges.push(`  ${keys}>${quoted(`keys ${serves}…`)}]`);
    }
    const title = titleOf(operator);
    const label = quoted(title === '' ? name : `${name}\n${title}`);
    return `      ${id}${isStateful ? `[[${label}]]` : `(${label})`}`;
  });
  return [`    subgraph ${stage}[${quoted(`stage ${topic}`)}]`, ...lines, '    end'];
}

/** Short ids of Mermaid's, one a name: names themselves may be words or signs of its syntax. */
class Ids {
  readonly #ids = new Map<string, string>();

  of(name: string): string {
    const id = this.#ids.get(name) ?? `n${this.#ids.size + 1}`;
    this.#ids.set(name, id);
    return id;
  }
}

/** As Mermaid's entity codes, https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters. */
function quoted(text: string): string {
  const escaped = text.replaceAll(
    /[^\p{L}\p{N} .,:…_\-\n]/gu,
    (sign) => `#${sign.codePointAt(0)};`,
  );
  return `"${escaped.replaceAll('\n', '<br/>')}"`;
}

function counted(partitions: number): string {
  return partitions === 1 ? '1 partition' : `${partitions} partitions`;
}

function portName({ operator, port }: Readonly<{ operator: string; port: string }>): string {
  return `${operator}.${port}`;
}
