import type { WriteStream } from 'node:tty';
import pc from 'picocolors';

type Colours = ReturnType<typeof pc.createColors>;
type Stream = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;

/**
 * Where the command line prints: facts to standard output, the rest to standard error. Colours and
 * progress are for terminals only; NO_COLOR is respected.
 */
export class Terminal {
  readonly #out: Stream;
  readonly #err: Stream;
  readonly isTty: boolean;
  readonly colours: Colours;

  constructor(options: Readonly<{ out: Stream; err: Stream; noColour: boolean }>) {
    this.#out = options.out;
    this.#err = options.err;
    this.isTty = options.out.isTTY === true;
    this.colours = pc.createColors(this.isTty && !options.noColour);
  }

  /** Resolves once more may be written, so that a slow reader slows the writer. */
  async print(line = ''): Promise<void> {
    if (this.#out.write(`${line}\n`)) return;
    await new Promise<void>((resolve) => {
      const release = () => {
        for (const event of ['drain', 'close', 'error']) this.#out.removeListener(event, release);
        resolve();
      };
      for (const event of ['drain', 'close', 'error']) this.#out.once(event, release);
    });
  }

  async printJson(value: unknown): Promise<void> {
    await this.print(JSON.stringify(value));
  }

  async printAll(lines: Iterable<string>): Promise<void> {
    for (const line of lines) await this.print(line);
  }

  /** Without waiting: for what comes slowly by itself. */
  show(line: string): void {
    this.#out.write(`${line}\n`);
  }

  /** To standard error: what is not the answer, such as progress and failures. */
  note(line: string): void {
    this.#err.write(`${line}\n`);
  }
}
