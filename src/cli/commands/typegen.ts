import { relative } from 'node:path';
import { Command } from 'commander';
import { typegen, type TypegenOutcome } from '../../app/scaffold/typegen.ts';
import { counted } from '../../lib/counted.ts';
import { dataDirOf, pipelineDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

type Flags = Readonly<{ connector: string; out: string; check?: true; json?: true }>;

export function typegenCommand(context: Context): Command {
  const command = new Command('typegen')
    .description(
      'write TypeScript types of the rows that connector.json captures, from the database',
    )
    .option('--connector <file>', "the connector's file in the pipeline's folder", 'connector.json')
    .option('--out <file>', "where to, from the pipeline's folder", 'tables.ts')
    .option('--check', 'write nothing; exit 1 when the file is not what would be written')
    .option('--json', 'print what was found as a JSON object')
    .action(async ({ connector, out, json, ...flags }: Flags) => {
      const check = flags.check === true;
      const { terminal, signal, cwd } = context;
      const place = {
        dataDir: dataDirOf(context, command),
        pipelineDir: pipelineDirOf(context, command, [connector]),
        connector,
        env: context.environment(),
      };
      const outcome = await typegen({ ...place, out, check }, signal);
      if (check && outcome.found !== 'same') context.foundFailure();
      if (json) await terminal.printJson(outcome);
      else await terminal.printAll(outcomeLines(outcome, check, cwd));
    });
  return withExamples(
    command,
    'POSTGRES_HOST=localhost millrace typegen',
    'millrace typegen --pipeline ./my-pipeline --check',
  );
}

function outcomeLines(
  { file, tables, found, difference }: TypegenOutcome,
  check: boolean,
  cwd: string,
): string[] {
  const path = relative(cwd, file);
  const count = counted(tables.length, 'table');
  if (found === 'same') return [`${path} is what the database asks for: ${count}.`];
  if (!check) return [`Wrote ${path}: ${count}.`];
  if (difference === undefined) return [`${path} is missing: run \`millrace typegen\`.`];
  return [
    `${path} is not what the database asks for: run \`millrace typegen\`.`,
    `  line ${difference.line}: expected ${difference.expected.trim()}`,
    `  found ${difference.found.trim() || 'nothing'}`,
  ];
}
