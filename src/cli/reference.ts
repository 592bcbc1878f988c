import type { Command } from 'commander';
import { examplesOf } from './examples.ts';

/** The reference of the command line in Markdown, from commander's own tree. */
export function cliReference(program: Command): string {
  const help = program.createHelp();
  const sections = leaves(program).map(({ command, path }) => section(command, path));
  return `# Command line

\`millrace\` is \`npx millrace\` in the checkout. Standard output carries the answer, standard error what
is not the answer. Colours and progress appear only on a terminal; \`NO_COLOR\` is respected.

Every command takes:

${optionTable(help.visibleOptions(program).map(({ flags, description }) => [flags, description]))}

| exit code | meaning |
| --- | --- |
| 0 | done; also when told to end what would run on, such as \`up\` or \`consume --follow\` |
| 1 | a difference or failure was found |
| 2 | wrong usage |
| 69 | a service is unavailable |
| 78 | wrong configuration |
| 128 + n | ended by signal n before it was done: 130 by Ctrl-C, 143 by SIGTERM |

With \`--json\`, an error is one JSON object on standard error: \`{"error": {"code", "facts", "hint", "exitCode"}}\`.
The codes are in [errors](../errors.md).

${sections.join('\n')}`;
}

type Leaf = Readonly<{ command: Command; path: string }>;

function leaves(command: Command, path = command.name()): Leaf[] {
  return command.commands.flatMap((child) => {
    const childPath = `${path} ${child.name()}`;
    return child.commands.length > 0
      ? leaves(child, childPath)
      : [{ command: child, path: childPath }];
  });
}

function section(command: Command, path: string): string {
  const help = command.createHelp();
  const description = command.description();
  const rows = [
    ...help
      .visibleArguments(command)
      .map((argument) => [help.argumentTerm(argument), help.argumentDescription(argument)]),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .map((option) => [help.optionTerm(option), help.optionDescription(option)]),
  ];
  const examples = examplesOf(command);
  return [
    `## ${path}`,
    '',
    `${description.charAt(0).toUpperCase()}${description.slice(1)}.`,
    '',
    ...(rows.length === 0 ? [] : [optionTable(rows), '']),
    ...(examples.length === 0 ? [] : ['```sh', ...examples, '```', '']),
  ].join('\n');
}

function optionTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map(
    ([term = '', text = '']) => `| \`${term}\` | ${text.replaceAll('|', String.raw`\|`)} |`,
  );
  return ['| | |', '| --- | --- |', ...cells].join('\n');
}
