import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { leftOnServers } from '../../app/operations/left-on-servers.ts';
import { resetData } from '../../app/operations/reset.ts';
import { MillraceError } from '../../domain/errors.ts';
import { dataDirOf, pipelineDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

export function resetCommand(context: Context): Command {
  const command = new Command('reset')
    .description(
      'remove the data directory: embedded log, store and PostgreSQL, logs; says how to remove what is in Kafka and Redis',
    )
    .option('--source', 'also drop the slot and the publication on a server of your own')
    .option('--yes', 'do not ask')
    .action(async (flags: { source?: true; yes?: true }) => {
      const { terminal, signal } = context;
      const dataDir = dataDirOf(context, command);
      const what = [
        ...(existsSync(dataDir) ? [`everything in ${dataDir}`] : []),
        ...(flags.source ? ['the slot and publication of the source'] : []),
      ].join(', and ');
      const left = await leftOnServers({
        env: context.environment(),
        pipelineDir: () => pipelineDirOf(context, command),
      });
      if (what === '') {
        await terminal.printAll([`Nothing is in ${dataDir}.`, ...left]);
        return;
      }
      if (!flags.yes && !(await confirmed(`Remove ${what}?`, context))) {
        await terminal.print('Nothing was removed.');
        return;
      }
      const source = flags.source && {
        pipelineDir: pipelineDirOf(context, command),
        env: context.environment(),
      };
      await resetData({ dataDir, ...(source && { source }) }, signal);
      await terminal.printAll([`Removed ${what}.`, ...left]);
    });
  return withExamples(command, 'millrace reset', 'millrace reset --yes');
}

async function confirmed(question: string, { terminal, signal }: Context): Promise<boolean> {
  if (!terminal.isTty || !process.stdin.isTTY) {
    throw new MillraceError('usage', { expected: '--yes where nobody can be asked' });
  }
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    prompt.close();
  }
}
