import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { leftOnServers } from '../../app/operations/left-on-servers.ts';
import { resetData } from '../../app/operations/reset.ts';
import { confirmed } from '../confirmation.ts';
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
