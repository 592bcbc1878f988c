import type { Node, OptionFacts } from './command-tree.ts';

/** A completion script for fish. */
export function fishCompletion(name: string, nodes: readonly Node[]): string {
  const [program, ...commands] = nodes;
  return `# ${name} completion for fish. To use it: ${name} completion fish | source
complete -c ${name} -f
${[
  ...(program === undefined ? [] : linesOf(name, program, '__fish_use_subcommand')),
  ...commands.flatMap((node) => linesOf(name, node, conditionOf(node, nodes))),
].join('\n')}
`;
}

/** True while the words before the cursor lead to this command, and to none below it. */
function conditionOf({ path, commands }: Node, nodes: readonly Node[]): string {
  const seen = path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`);
  const below = commands.map(({ name }) => name).join(' ');
  const isAmbiguous = nodes.some((node) => node.path !== path && node.path.endsWith(` ${path}`));
  const first = isAmbiguous
    ? [`test (count (commandline -opc)) -ge 2; and test (commandline -opc)[2] = ${path}`]
    : seen;
  return [...first, ...(below === '' ? [] : [`not __fish_seen_subcommand_from ${below}`])].join(
    '; and ',
  );
}

function linesOf(name: string, node: Node, condition: string): string[] {
  const start = `complete -c ${name} -n ${quote(condition)}`;
  return [
    ...node.commands.map((each) => `${start} -a ${quote(each.name)} -d ${quote(each.description)}`),
    ...(node.choices.length === 0 ? [] : [`${start} -a ${quote(node.choices.join(' '))}`]),
    ...node.options.map((option) => `${start} ${optionWords(option)}`),
  ];
}

function optionWords({ flags, description, takesValue, choices, completes }: OptionFacts): string {
  return [
    ...flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)),
    ...(completes === undefined ? [] : ['-r', '-F']),
    ...(completes === undefined && takesValue ? ['-x'] : []),
    ...(choices.length === 0 ? [] : [`-a ${quote(choices.join(' '))}`]),
    `-d ${quote(description)}`,
  ].join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)}'`;
}
