import { CONNECTOR_OPTIONS } from '../src/capture/connector-options.ts';
import { createProgram } from '../src/cli/program.ts';
import { cliReference } from '../src/cli/reference.ts';
import { Terminal } from '../src/cli/terminal.ts';
import { REMEDIES } from '../src/domain/errors.ts';

const RETRIES = {
  auto: 'tried again by itself',
  manual: 'after a person acted',
  never: 'not tried again',
} as const;

/** The pages of docs/ that are made from the code, by path. `npm run docs` writes them. */
export function generatedPages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/errors.md', errorsPage()],
    ['docs/reference/connector-options.md', connectorOptionsPage()],
    ['docs/reference/cli.md', cliReference(createProgram(contextForReading()))],
  ]);
}

function errorsPage(): string {
  const sections = Object.entries(REMEDIES).map(
    ([code, { retry, exit, hint }]) =>
      `## ${code}\n\n${hint}\n\nRetry: ${RETRIES[retry]}. Exit code: ${exit}.\n`,
  );
  return `# Errors

Every failure that Millrace names: its code as the command line and the log show it, and what to do.
An error without a code is a bug: please report it. The exit codes are explained in the
[command line's reference](reference/cli.md).

${sections.join('\n')}`;
}

function connectorOptionsPage(): string {
  const rows = Object.entries(CONNECTOR_OPTIONS).map(([name, rule]) => {
    if (rule === 'any') return `| \`${name}\` | honoured |`;
    if (rule === 'without effect') return `| \`${name}\` | accepted, without effect here |`;
    if ('values' in rule)
      return `| \`${name}\` | honoured: ${rule.values.map((value) => `\`${value}\``).join(', ')} |`;
    const only =
      rule.defaultOnly === '' ? 'must be absent or empty' : `only \`${rule.defaultOnly}\``;
    return `| \`${name}\` | not built: ${only} |`;
  });
  return `# Options of connector.json

The options of [Debezium's PostgreSQL connector](https://debezium.io/documentation/reference/stable/connectors/postgresql.html)
and what the native connector does with them. Another option, or another value, is refused with all problems
in one message; none is ignored in silence.

| option | native connector |
| --- | --- |
${rows.join('\n')}
`;
}

/** The commands are listed, never run. */
function contextForReading() {
  return {
    terminal: new Terminal({ out: process.stdout, err: process.stderr, noColour: true }),
    environment: () => ({}),
    cwd: process.cwd(),
    signal: AbortSignal.abort(),
    leaveInterruptsToChild: () => {},
    foundFailure: () => {},
  };
}
