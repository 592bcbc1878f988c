import { relative, resolve } from 'node:path';
import { Command } from 'commander';
import { type InitOutcome, initPipeline } from '../../app/scaffold/init.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';
import { checkLines } from './doctor.ts';

type Flags = Readonly<{ tables?: string; name?: string; force?: true; json?: true }>;

export function initCommand(context: Context): Command {
  const command = new Command('init')
    .description(
      'write a pipeline for a database that is there: connector, typed tables, a processor and a model with their tests',
    )
    .argument('[folder]', 'an empty folder, or a new one', '.')
    .option('--tables <patterns>', 'which tables, with * and ?, separated by commas (default: all)')
    .option('--name <name>', "of the pipeline, its topics, its slot (default: the folder's)")
    .option('--force', 'also into a folder that holds files: those of the same names are replaced')
    .option('--json', 'print what was written, and what capture needs, as a JSON object')
    .action(async (folder: string, { tables, name, force, json }: Flags) => {
      const { terminal, signal, cwd } = context;
      const outcome = await initPipeline(
        {
          dir: resolve(cwd, folder),
          name,
          tables: tables?.split(',').map((each) => each.trim()),
          force: force === true,
          dataDir: dataDirOf(context, command),
          env: context.environment(),
        },
        signal,
      );
      if (json) await terminal.printJson(outcome);
      else await terminal.printAll(outcomeLines(outcome, terminal, cwd));
    });
  return withExamples(
    command,
    'POSTGRES_HOST=localhost POSTGRES_DB=shop millrace init my-pipeline',
    "millrace init --tables 'public.order*,customers' --name orders",
  );
}

function outcomeLines(
  { dir, name, files, tables, checks, commands }: InitOutcome,
  terminal: Terminal,
  cwd: string,
): string[] {
  const place = relative(cwd, dir);
  const missing = checks.filter(({ ok, mend }) => !ok || mend.length > 0);
  return [
    `Pipeline ${name}, of ${tables.join(', ')}:`,
    ...files.map((file) => `  ${place === '' ? file : `${place}/${file}`}`),
    ...(missing.length === 0
      ? ['The source has all that capture needs.']
      : ['', 'What capture needs of the source:']),
    ...missing.flatMap((check) => checkLines(check, terminal)),
    '',
    'Next:',
    ...(place === '' ? [] : [`  cd ${place}`]),
    `  ${commands.install}`,
    `  ${commands.test}`,
    `  ${commands.start}`,
  ];
}
