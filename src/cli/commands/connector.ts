import { Command } from 'commander';
import { callOperation } from '../../app/operations/call.ts';
import type { ConnectorStatus } from '../../domain/status.ts';
import { type Context, placeOf } from '../context.ts';
import { withExamples } from '../examples.ts';
import { connectorLines } from './status.ts';

type Options = Readonly<{ json?: true }>;

/** Those that take no arguments, and what they do. */
const ACTIONS = {
  status: 'show what the connector does, and its copies',
  pause: 'stop capturing; the server keeps the WAL meanwhile',
  resume: 'capture again, from where it was paused',
  restart: 'begin anew: with new connections, and with what has failed',
} as const;

export function connectorCommand(context: Context): Command {
  const command = new Command('connector').description(
    'look at the connector, pause, resume and restart it, and have tables copied again',
  );
  for (const [action, description] of Object.entries(ACTIONS))
    command.addCommand(actionCommand(context, action as keyof typeof ACTIONS, description));
  command.addCommand(copyCommand(context));
  return withExamples(
    command,
    'millrace connector status',
    'millrace connector pause',
    'millrace connector copy public.orders public.order_items',
  );
}

function actionCommand(
  context: Context,
  action: keyof typeof ACTIONS,
  description: string,
): Command {
  const command = new Command(action)
    .description(description)
    .option('--json', "print the connector's status as a JSON object")
    .action(async (options: Options) => {
      const place = placeOf(context, command);
      const answers = callOperation(place, `connector.${action}`, {}, context.signal);
      for await (const status of answers) await show(status, options, context);
    });
  return withExamples(command, `millrace connector ${action}`);
}

function copyCommand(context: Context): Command {
  const command = new Command('copy')
    .description('copy tables again, while changes flow')
    .argument('<tables...>', 'as schema.table, or by their topics')
    .option('--json', "print the connector's status as a JSON object")
    .action(async (tables: string[], options: Options) => {
      const place = placeOf(context, command);
      const answers = callOperation(place, 'connector.copy', { tables }, context.signal);
      for await (const status of answers) await show(status, options, context);
    });
  return withExamples(
    command,
    'millrace connector copy public.orders public.order_items',
    'millrace connector copy dbserver1.public.orders --json',
  );
}

async function show(
  connector: ConnectorStatus,
  { json }: Options,
  { terminal }: Context,
): Promise<void> {
  if (json) await terminal.printJson(connector);
  else await terminal.printAll(connectorLines({ connector }));
}
