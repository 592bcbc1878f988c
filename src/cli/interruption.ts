import { constants } from 'node:os';

/** What is needed of the process; a test gives its own. */
type Interruptible = Pick<NodeJS.Process, 'on' | 'exit' | 'stdout'>;

/** npm repeats the terminal's Ctrl-C to its child, so a second one so soon is the same. */
const SAME_INTERRUPTION_MS = 1000;

/**
 * Aborts `signal` when the process is asked to end: by SIGINT, SIGTERM, SIGHUP, or because nobody
 * reads its standard output any more. Asked once more, a second later, it ends at once: the next
 * start recovers what that leaves behind.
 */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #process: Interruptible;
  readonly #now: () => number;
  #firstAt: number | undefined;
  #isForChild = false;
  #endsWith: number | undefined;
  #runsUntilTold = false;

  constructor(process: Interruptible, now: () => number = Date.now) {
    this.#process = process;
    this.#now = now;
    process.on('SIGINT', () => {
      if (!this.#isForChild) this.#interrupted('SIGINT');
    });
    process.on('SIGTERM', () => this.#interrupted('SIGTERM'));
    process.on('SIGHUP', () => this.#interrupted('SIGHUP'));
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      this.#controller.abort();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** As shells have it, 128 and the signal's number; undefined where no signal came that cut anything short. */
  get exitCode(): number | undefined {
    return this.#runsUntilTold ? undefined : this.#endsWith;
  }

  /** What runs from now on has no end of its own: to be told to end is its end. */
  readonly runUntilTold = (): void => {
    this.#runsUntilTold = true;
  };

  /** From now on Ctrl-C is meant for the child that has the terminal, such as psql. */
  readonly leaveToChild = (): void => {
    this.#isForChild = true;
  };

  #interrupted(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
    this.#firstAt ??= this.#now();
    this.#endsWith ??= 128 + constants.signals[signal];
    if (this.#now() - this.#firstAt > SAME_INTERRUPTION_MS) this.#process.exit(this.#endsWith);
    this.#controller.abort();
  }
}
