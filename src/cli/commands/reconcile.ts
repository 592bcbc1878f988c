import { Command } from 'commander';
import type { ReconcileEvent } from '../../app/operations/operations.ts';
import { callOperation } from '../../app/operations/call.ts';
import { counted } from '../../lib/counted.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';
import { EqualFigures } from '../equal-figures.ts';
import { formatDuration } from '../units.ts';

export function reconcileCommand(context: Context): Command {
  const command = new Command('reconcile')
    .description('prove that the store equals the source while data flows; exit 1 when it does not')
    .option('--all', 'print the figures that are equal too, not only how many')
    .option('--json', 'print one JSON object a figure, then a summary')
    .action(async (options: { all?: true; json?: true }) => {
      const { terminal, signal } = context;
      const equals = new EqualFigures();
      for await (const event of callOperation(placeOf(context, command), 'reconcile', {}, signal)) {
        if (event.kind === 'summary' && event.differences > 0) context.foundFailure();
        if (event.kind === 'progress') terminal.note(event.message);
        else if (options.json) await terminal.printJson(event);
        else if (event.kind === 'figure' && event.equal && !options.all) equals.add(event);
        else {
          if (event.kind === 'summary')
            for (const line of equals.lines()) await terminal.print(equalLine(line, terminal));
          await terminal.print(eventLine(event, terminal));
        }
      }
    });
  return withExamples(command, 'millrace reconcile', 'millrace reconcile --json');
}

function eventLine(
  event: Exclude<ReconcileEvent, { kind: 'progress' }>,
  { colours }: Pick<Terminal, 'colours'>,
): string {
  if (event.kind === 'figure') {
    const { name, source, store, equal } = event;
    return equal
      ? equalLine(`${name}: ${source}`, { colours })
      : `${colours.red('DIFFERS')} ${name}: source ${source}, store ${store}`;
  }
  const { figures, differences, tookMs } = event;
  return `${counted(figures, 'figure')} compared in ${formatDuration(tookMs)}, ${counted(differences, 'difference')}`;
}

function equalLine(text: string, { colours }: Pick<Terminal, 'colours'>): string {
  return `${colours.green('equal')}   ${text}`;
}
