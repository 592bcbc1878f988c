import { Command } from 'commander';
import type { ReconcileEvent } from '../../app/operations.ts';
import { callOperation } from '../../app/call.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';
import { formatDuration } from '../units.ts';

export function reconcileCommand(context: Context): Command {
  const command = new Command('reconcile')
    .description('prove that the store equals the source while data flows; exit 1 when it does not')
    .option('--json', 'print one JSON object a figure, then a summary')
    .action(async (options: { json?: true }) => {
      const { terminal, signal } = context;
      for await (const event of callOperation(
        dataDirOf(context, command),
        'reconcile',
        {},
        signal,
      )) {
        if (event.kind === 'summary' && event.differences > 0) context.foundFailure();
        if (event.kind === 'progress') terminal.note(event.message);
        else if (options.json) await terminal.printJson(event);
        else await terminal.print(eventLine(event, terminal));
      }
    });
  return withExamples(command, 'millrace reconcile', 'millrace reconcile --json');
}

function eventLine(
  event: Exclude<ReconcileEvent, { kind: 'progress' }>,
  { colours }: Terminal,
): string {
  if (event.kind === 'figure') {
    const { name, source, store, equal } = event;
    return equal
      ? `${colours.green('equal')}   ${name}: ${source}`
      : `${colours.red('DIFFERS')} ${name}: source ${source}, store ${store}`;
  }
  const { figures, differences, tookMs } = event;
  return `${figures} figures compared in ${formatDuration(tookMs)}, ${differences} differences`;
}
