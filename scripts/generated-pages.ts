import { AVERAGE, GLOBAL_RANK } from '../src/batch/models/portability.ts';
import { FORMS, PORTABLE_FUNCTIONS } from '../src/batch/models/portable-functions.ts';
import { RESULT_RULES } from '../src/batch/models/portable-results.ts';
import { PORTABLE_RULES } from '../src/batch/models/portable-rules.ts';
import { TEXT_RULES } from '../src/batch/models/portable-text.ts';
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
export async function generatedPages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['docs/errors.md', errorsPage()],
    ['docs/reference/connector-options.md', connectorOptionsPage()],
    ['docs/reference/portable-sql.md', portableSqlPage()],
    ['docs/reference/cli.md', cliReference(await createProgram(contextForReading()))],
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

function portableSqlPage(): string {
  const rules = [...PORTABLE_RULES, AVERAGE, ...Object.values(RESULT_RULES), ...TEXT_RULES];
  const code = (text: string) => `\`${text.replaceAll('|', '\\|')}\``;
  const cell = (text: string) => text.replaceAll('|', '\\|');
  return `# Portable SQL

What DuckDB and Spark understand alike: models are held to it unless their header says \`dialect: duckdb\`. The compiler
finds what is not, at its line, and names the form that is. Samples of all of it are run on DuckDB 1.5 and Spark 4.3, and compared; what
Spark 3.5 lacks is left out too.

| not | write | because |
| --- | --- | --- |
${rules.map(({ construct, form, why }) => `| ${cell(construct)} | ${cell(form)} | ${cell(why)} |`).join('\n')}

A warning only: ${GLOBAL_RANK.construct} (${GLOBAL_RANK.why}). Columns that a model keeps are named in letters, digits and \`_\`, and of types that
Parquet and Spark hold: a sum of whole numbers is \`CAST(SUM(n) AS BIGINT)\`.

## Functions

Those that are the same on both, operators among them; window functions and GROUPING too:

${[...PORTABLE_FUNCTIONS].toSorted().map(code).join(', ')}

In place of others:

| not | write |
| --- | --- |
${Object.entries(FORMS)
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, form]) => `| ${code(name)} | ${cell(form)} |`)
  .join('\n')}
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
    runsUntilTold: () => {},
    foundFailure: () => {},
  };
}
