import { Command } from 'commander';
import { checkSource, type SourceCheck } from '../../app/operations/source-check.ts';
import { dataDirOf, pipelineDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';

export function doctorCommand(context: Context): Command {
  const command = new Command('doctor')
    .description('check the source, and print the SQL that mends what is missing; exit 1 then')
    .option('--json', 'print one JSON object a check')
    .action(async (options: { json?: true }) => {
      const { terminal, signal } = context;
      const place = {
        dataDir: dataDirOf(context, command),
        pipelineDir: pipelineDirOf(context, command),
        env: context.environment(),
      };
      for await (const check of checkSource(place, signal)) {
        if (!check.ok) context.foundFailure();
        if (options.json) await terminal.printJson(check);
        else await terminal.printAll(checkLines(check, terminal));
      }
    });
  return withExamples(command, 'millrace doctor', 'POSTGRES_HOST=localhost millrace doctor --json');
}

/** What is fine may still deserve a mend: a warning. */
export function checkLines(
  { name, ok, expected, found, mend }: SourceCheck,
  { colours }: Terminal,
): string[] {
  const mark = !ok
    ? colours.red('missing')
    : mend.length > 0
      ? colours.yellow('warning')
      : colours.green('ok     ');
  const lines = mend.flatMap((each) => each.split('\n'));
  const facts = ok ? found : `expected ${expected}, found ${found}`;
  return [`${mark}  ${name}: ${facts}`, ...lines.map((line) => `           ${line}`)];
}
