import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { logFileIn } from '../../app/config/data-directory.ts';
import { MillraceError } from '../../domain/errors.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { logLines, prettyLogLine } from '../log-lines.ts';

export function logsCommand(context: Context): Command {
  const command = new Command('logs')
    .description('print the log of the data directory')
    .option('-f, --follow', 'go on with what is written later')
    .option('-n, --lines <count>', 'start so many lines before the end', parsePositiveInteger, 200)
    .option('--json', 'print the lines as they are in the file')
    .action(async (options: { follow?: true; lines: number; json?: true }) => {
      const { terminal, signal } = context;
      const dir = dataDirOf(context, command);
      const file = logFileIn(dir);
      if (!existsSync(dirname(file)))
        throw new MillraceError('not_running', { dir, found: 'no log there' });
      if (options.follow === true) context.runsUntilTold();
      const lines = logLines(file, {
        count: options.lines,
        follow: options.follow ?? false,
        signal,
      });
      for await (const line of lines) {
        await terminal.print(options.json ? line : prettyLogLine(line, terminal.colours));
      }
    });
  return withExamples(command, 'millrace logs -n 50', 'millrace logs -f');
}
