import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError, Option } from 'commander';
import { callOperation } from '../../app/operations/call.ts';
import type { ReplayArguments, ReplayEvent } from '../../app/operations/operations.ts';
import { parseStartPoint } from '../arguments.ts';
import { type Context, placeOf } from '../context.ts';
import { withExamples } from '../examples.ts';
import type { Terminal } from '../terminal.ts';
import { formatDuration } from '../units.ts';

type Flags = Readonly<{ from: ReplayArguments['from']; wait?: true; json?: true }>;

export function replayCommand(context: Context): Command {
  const command = new Command('replay')
    .description(
      "build a processor's results anew with the code of now, and serve the old ones meanwhile",
    )
    .argument('<processor>', 'whose results')
    .addOption(
      new Option(
        '--from <where>',
        'beginning, end, a time, an offset, or offsets as topic-partition=offset,…',
      )
        .argParser(parseReplayStart)
        .makeOptionMandatory(),
    )
    .option('--wait', 'until the new results are served')
    .option('--json', 'print one JSON object an event')
    .action(async (processor: string, { from, json, ...flags }: Flags) => {
      const { terminal, signal } = context;
      const progress = new ReplayProgress(terminal);
      const wait = flags.wait === true;
      const args = { processor, from, wait };
      try {
        for await (const event of callOperation(
          placeOf(context, command),
          'replay',
          args,
          signal,
        )) {
          if (json) await terminal.printJson(event);
          else await progress.show(event, wait);
        }
      } finally {
        progress.end();
      }
    });
  return withExamples(
    command,
    'millrace replay stream-processor --from beginning --wait',
    'millrace replay stream-processor --from 2026-01-31T12:00:00Z',
    'millrace replay cdc-processor --from dbserver1.public.orders-0=1200',
  );
}

function parseReplayStart(text: string): ReplayArguments['from'] {
  if (!text.includes('=')) return parseStartPoint(text);
  const pairs = text.split(',').map((pair): [string, number] => {
    const [, id, offset] = /^(.+-\d+)=(\d{1,15})$/.exec(pair.trim()) ?? [];
    if (id === undefined || offset === undefined)
      throw new InvalidArgumentError(
        'Expected offsets such as shop.orders-0=1200,shop.orders-1=0.',
      );
    return [id, Number(offset)];
  });
  return { offsets: Object.fromEntries(pairs) };
}

/** A bar on a terminal, else a line each tenth. */
class ReplayProgress {
  readonly #terminal: Terminal;
  #bar: SingleBar | undefined;
  #tenth = -1;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async show(event: ReplayEvent, isWaiting: boolean): Promise<void> {
    const { processor, generation } = event;
    if (event.kind === 'progress') return this.#progress(event);
    this.end();
    if (event.kind === 'done') {
      const took = formatDuration(event.tookMs);
      return this.#terminal.print(`${processor} serves generation ${generation}, after ${took}.`);
    }
    if (!event.isRunning) {
      const why = event.problem === undefined ? '' : `: ${event.problem}`;
      await this.#terminal.print(`${processor} is not running${why}`);
      return this.#terminal.print(`Generation ${generation} begins when it is started again.`);
    }
    const hint = isWaiting ? '' : ' `millrace status` shows how far it is.';
    return this.#terminal.print(`${processor} is built anew as generation ${generation}.${hint}`);
  }

  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  async #progress({ phase, share }: Extract<ReplayEvent, { kind: 'progress' }>): Promise<void> {
    const percent = Math.floor(share * 100);
    if (this.#terminal.isTty) {
      if (this.#bar === undefined) {
        this.#bar = new SingleBar({
          format: '{phase} {bar} {percentage}%',
          hideCursor: true,
          clearOnComplete: true,
        });
        this.#bar.start(100, percent, { phase });
      }
      this.#bar.update(percent, { phase });
      return;
    }
    const tenth = Math.floor(percent / 10);
    if (tenth === this.#tenth) return;
    this.#tenth = tenth;
    await this.#terminal.print(`${phase} ${percent}%`);
  }
}
