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

  constructor(process: Interruptible, now: () => number = Date.now) {
    this.#process = process;
    this.#now = now;
    process.on('SIGINT', () => {
      if (!this.#isForChild) this.#interrupted();
    });
    process.on('SIGTERM', () => this.#interrupted());
    process.on('SIGHUP', () => this.#interrupted());
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      this.#controller.abort();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on Ctrl-C is meant for the child that has the terminal, such as psql. */
  readonly leaveToChild = (): void => {
    this.#isForChild = true;
  };

  #interrupted(): void {
    this.#firstAt ??= this.#now();
    if (this.#now() - this.#firstAt > SAME_INTERRUPTION_MS) this.#process.exit(130);
    this.#controller.abort();
  }
}
