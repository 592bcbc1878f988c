import { Command } from 'commander';
import { callOperation } from '../../app/operations/call.ts';
import { MillraceError } from '../../domain/errors.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

export function downCommand(context: Context): Command {
  const command = new Command('down')
    .description('stop what runs on the data directory, in order')
    .action(async () => {
      const { terminal, signal } = context;
      const dataDir = dataDirOf(context, command);
      try {
        for await (const { pid } of callOperation({ dataDir }, 'stop', {}, signal)) {
          await terminal.print(`stopped (pid ${pid})`);
        }
      } catch (error) {
        // Down is what it was told to be.
        if (!(error instanceof MillraceError && error.code === 'not_running')) throw error;
        terminal.note(`nothing runs on ${dataDir}`);
      }
    });
  return withExamples(command, 'millrace down');
}
