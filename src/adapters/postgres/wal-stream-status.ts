import type { Lsn } from '../../domain/lsn.ts';
import { statusMessage } from './wal-stream-messages.ts';

const MIN_INTERVAL_MS = 100;

/**
 * Tells the server how far the reader has made changes durable, which never goes back: at once, or
 * as soon as the last report is 100 ms old.
 */
export class StatusReporter {
  readonly #send: (message: Buffer) => void;
  #confirmed = 0n as Lsn;
  #reported = 0n as Lsn;
  #pause: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(send: (message: Buffer) => void) {
    this.#send = send;
  }

  confirm(upTo: Lsn): void {
    if (upTo <= this.#confirmed) return;
    this.#confirmed = upTo;
    if (this.#pause === undefined) this.report();
  }

  /** Reports now, for a server that asked or that waits for a sign of life; may ask for one in turn. */
  report(isReplyWanted = false): void {
    if (this.#hasEnded) return;
    this.#reported = this.#confirmed;
    this.#send(statusMessage(this.#confirmed, isReplyWanted));
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      if (this.#confirmed > this.#reported) this.report();
    }, MIN_INTERVAL_MS);
  }

  /** Reports what was not yet told, and nothing after it. */
  end(): void {
    if (this.#confirmed > this.#reported) this.report();
    this.#hasEnded = true;
    clearTimeout(this.#pause);
  }
}
