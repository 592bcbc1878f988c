import { Command } from 'commander';
import { callOperation } from '../../app/call.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

export function downCommand(context: Context): Command {
  const command = new Command('down')
    .description('stop what runs on the data directory, in order')
    .action(async () => {
      const { terminal, signal } = context;
      for await (const { pid } of callOperation(dataDirOf(context, command), 'stop', {}, signal)) {
        await terminal.print(`stopped (pid ${pid})`);
      }
    });
  return withExamples(command, 'millrace down');
}
