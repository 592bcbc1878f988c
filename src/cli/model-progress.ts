import { SingleBar } from 'cli-progress';
import type { ModelReport, RunEvent, TestReport } from '../app/batch/run-models.ts';
import { counted } from '../lib/counted.ts';
import type { Terminal } from './terminal.ts';

/**
 * Prints a line for each model as it ends, and for each test: all of them, or those alone that did not
 * pass. On a terminal, what goes on stands below.
 */
export class ModelProgress {
  readonly #terminal: Terminal;
  readonly #showsPassed: boolean;
  readonly #pathOf: (file: string) => string;
  #bar: SingleBar | undefined;
  /** Models that have ended: between them, their tests do not move the bar. */
  #models = { number: 0, total: 0 };

  /** `pathOf` gives what a file of the lake is called here. */
  constructor(
    terminal: Terminal,
    options: Readonly<{ showsPassed: boolean; pathOf: (file: string) => string }>,
  ) {
    this.#terminal = terminal;
    this.#showsPassed = options.showsPassed;
    this.#pathOf = options.pathOf;
  }

  readonly show = (event: RunEvent): void => {
    const { number, total } = event;
    if (event.kind === 'started') {
      this.#start(event);
      return;
    }
    this.end();
    if (event.kind === 'model') this.#models = { number, total };
    const { colours } = this.#terminal;
    const place = colours.dim(`${String(number).padStart(String(total).length)} of ${total}`);
    if (event.kind === 'model') this.#terminal.show(`${place} ${modelLine(event.report, colours)}`);
    else if (this.#showsPassed)
      this.#terminal.show(`${place} ${testLine(event.report, colours, this.#pathOf)}`);
    else if (event.report.outcome !== 'passed')
      this.#terminal.show(
        `${' '.repeat(`${total} of ${total}`.length)} ${testLine(event.report, colours, this.#pathOf)}`,
      );
  };

  #start(event: Extract<RunEvent, { kind: 'started' }>): void {
    if (!this.#terminal.isTty) return;
    const { number, total } = event.what === 'test' && !this.#showsPassed ? this.#models : event;
    const { name } = event;
    this.end();
    this.#bar = new SingleBar({
      format: '{bar} {value} of {total} | {name}',
      hideCursor: true,
      clearOnComplete: true,
    });
    this.#bar.start(total, number, { name });
  }

  /** Takes away what is not to stay. */
  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

type Colours = Terminal['colours'];

function modelLine(report: ModelReport, colours: Colours): string {
  const { name, seconds } = report;
  switch (report.outcome) {
    case 'done':
      return `${colours.green('OK')}    ${name} … ${madeText(report)}${timeText(seconds)}`;
    case 'failed': {
      const place = report.line === undefined ? report.file : `${report.file}:${report.line}`;
      return `${colours.red('ERROR')} ${name} … ${place}: ${report.problem}`;
    }
    case 'skipped':
      return `${colours.yellow('SKIP')}  ${name} … because of ${report.because}`;
    case 'waiting':
      return `${colours.yellow('WAIT')}  ${name} … ${report.for}; its last result stays`;
    default:
      return report satisfies never;
  }
}

function madeText({ how, rows, why }: Extract<ModelReport, { outcome: 'done' }>): string {
  switch (how) {
    case 'view':
      return 'view';
    case 'unchanged':
      return `${rowsText(rows)}, nothing to do`;
    case 'incremental':
      return `${rowsText(rows)}, incremental`;
    case 'full':
      return why === undefined ? rowsText(rows) : `${rowsText(rows)}, in full as ${why}`;
    default:
      return how satisfies never;
  }
}

export function testLine(
  report: TestReport,
  colours: Colours,
  pathOf: (file: string) => string,
): string {
  const { name, severity, seconds } = report;
  const bad = severity === 'warn' ? colours.yellow('WARN ') : colours.red('FAIL ');
  switch (report.outcome) {
    case 'passed':
      return `${colours.green('PASS')}  ${name}${timeText(seconds)}`;
    case 'failed':
      return `${bad} ${name} … ${rowsText(report.rows)}${report.files.length === 0 ? '' : `, kept in ${report.files.map(pathOf).join(', ')}`}`;
    case 'error':
      return `${bad} ${name} … ${report.file}:${report.line}: ${report.problem}`;
    case 'skipped':
      return `${colours.yellow('SKIP')}  ${name} … ${report.because}`;
    case 'waiting':
      return `${colours.yellow('WAIT')}  ${name} … ${report.for}`;
    default:
      return report satisfies never;
  }
}

function rowsText(rows: number): string {
  return counted(rows, 'row');
}

function timeText(seconds: number): string {
  return seconds === 0 ? '' : ` in ${seconds.toFixed(2)} s`;
}
