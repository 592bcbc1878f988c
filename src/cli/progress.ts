import { SingleBar } from 'cli-progress';
import type { UpEvent } from '../app/roles/launch.ts';
import type { ConnectorStatus } from '../domain/status.ts';
import { withoutPassword } from './address.ts';
import { lagOf } from './commands/status.ts';
import type { Terminal } from './terminal.ts';
import { formatBytes, formatClock, formatCount, formatDuration, formatRate } from './units.ts';

type Tick = Extract<UpEvent, { kind: 'tick' }>;

/** Prints what happens while Millrace runs in the foreground: a line a second of what moves. */
export class UpProgress {
  readonly #terminal: Terminal;
  readonly #hint: string;
  readonly #now: () => number;
  #bar: SingleBar | undefined;
  #lastTick = '';

  /** `hint` says, once all is up, how to go on. */
  constructor(terminal: Terminal, hint: string, now: () => number) {
    this.#terminal = terminal;
    this.#hint = hint;
    this.#now = now;
  }

  readonly show = (event: UpEvent): void => {
    if (event.kind === 'tick') {
      this.#tick(event);
      return;
    }
    this.#endBar();
    for (const line of eventLines(event, this.#hint, this.#terminal.colours))
      this.#terminal.show(line);
  };

  #tick(tick: Tick): void {
    const { connector } = tick;
    if (connector?.state === 'copying' && this.#terminal.isTty) {
      this.#showCopy(connector);
      return;
    }
    this.#endBar();
    const line = tickLine(tick);
    // An idle system says nothing, rather than the same again.
    if (line === this.#lastTick) return;
    this.#lastTick = line;
    this.#terminal.show(`${this.#terminal.colours.dim(formatClock(this.#now()))}  ${line}`);
  }

  #showCopy({ copy = [] }: ConnectorStatus): void {
    const rows = copy.reduce((sum, each) => sum + each.rows, 0);
    const estimated = copy.reduce((sum, each) => sum + Math.max(each.rows, each.estimatedRows), 0);
    const table = copy.find(({ done }) => !done)?.table ?? '';
    if (this.#bar === undefined) {
      this.#bar = new SingleBar({
        format: 'copying {bar} {percentage}% | {value} of about {total} rows | {table}',
        hideCursor: true,
        clearOnComplete: true,
      });
      this.#bar.start(estimated, rows, { table });
    } else {
      this.#bar.setTotal(estimated);
      this.#bar.update(rows, { table });
    }
  }

  #endBar(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

function eventLines(
  event: Exclude<UpEvent, Tick>,
  hint: string,
  colours: Terminal['colours'],
): string[] {
  switch (event.kind) {
    case 'starting':
      return [colours.dim(`starting ${event.part}`)];
    case 'ready':
      return [
        ...addressLines(event.urls, colours),
        '',
        `Up in ${formatDuration(event.tookMs)}. ${hint}`,
        '',
      ];
    case 'failure':
      return [
        colours.red(
          `${event.part} failed: ${event.message}${event.restarting ? ' (is tried again)' : ''}`,
        ),
      ];
    case 'recovered':
      return [colours.green(`${event.part} works again`)];
    case 'stopping':
      return ['stopping'];
  }
}

function addressLines(
  urls: Readonly<Record<string, string>>,
  colours: Terminal['colours'],
): string[] {
  const lines = Object.entries(urls).map(
    ([name, url]) => `  ${name.padEnd(12)} ${colours.cyan(withoutPassword(url))}`,
  );
  return lines.length === 0 ? [] : ['', ...lines];
}

function tickLine(tick: Tick): string {
  const { connector, processors, generator, capturedPerSecond, processedPerSecond } = tick;
  const copied = (connector?.copy ?? []).reduce((sum, each) => sum + each.rows, 0);
  return [
    ...(connector === undefined
      ? []
      : [
          connector.state,
          `copied ${formatCount(copied)}`,
          `streamed ${formatCount(connector.changes - copied)} (${formatRate(capturedPerSecond)})`,
          `slot lag ${formatBytes(connector.lagBytes ?? 0)}`,
        ]),
    ...processors.map(
      (processor) =>
        `${processor.name} ${formatCount(processor.records)} (${formatRate(processedPerSecond[processor.name] ?? 0)}) lag ${formatCount(lagOf(processor))}` +
        (processor.parked > 0 ? ` parked ${formatCount(processor.parked)}` : '') +
        (processor.state === 'running' ? '' : ` ${processor.state}`),
    ),
    ...(generator === undefined ? [] : [`generated ${formatCount(generator.rows)}`]),
  ].join(' | ');
}
