import { Command } from 'commander';
import { callOperation } from '../../app/call.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

export function connectorCommand(context: Context): Command {
  const command = new Command('connector').description('pause and resume the running connector');
  command.addCommand(
    switchCommand(context, 'pause', 'stop capturing; the server keeps the WAL meanwhile'),
  );
  command.addCommand(switchCommand(context, 'resume', 'capture again, from where it was paused'));
  return withExamples(command, 'millrace connector pause', 'millrace connector resume');
}

function switchCommand(context: Context, action: 'pause' | 'resume', description: string): Command {
  const command = new Command(action)
    .description(description)
    .option('--json', "print the connector's status as a JSON object")
    .action(async (options: { json?: true }) => {
      const { terminal, signal } = context;
      const name = `connector.${action}` as const;
      for await (const status of callOperation(placeOf(context, command), name, {}, signal)) {
        if (options.json) await terminal.printJson(status);
        else await terminal.print(`${status.name}: ${status.state}`);
      }
    });
  return withExamples(command, `millrace connector ${action}`);
}
