import type { Lsn } from '../domain/lsn.ts';
import type { Position } from '../domain/position.ts';
import type { ChangeSource, WalBatch, WalStream } from '../ports/change-source.ts';
import type { ChangeEncoder } from './change-encoder.ts';
import type { IncrementalCopy } from './incremental-copy.ts';
import type { LogAppender } from './log-appender.ts';
import type { MessageEncoder } from './message-encoder.ts';
import type { RelationRegistry } from './relation-registry.ts';
import { TransactionTracker } from './transaction.ts';
import { WalDecoder } from './wal-decoder.ts';

export type FollowerParts = Readonly<{
  source: ChangeSource;
  encoder: ChangeEncoder;
  messages: MessageEncoder;
  relations: RelationRegistry;
  appender: LogAppender;
  copy: IncrementalCopy;
  clock: () => number;
  slot: string;
  publication: string;
  from: Lsn;
  inside: Position['transaction'];
  onCopied: () => void;
}>;

/**
 * Follows the slot: decodes, encodes, has it appended; and lets the chunks of a copy in between,
 * at the ends of transactions.
 */
export class StreamFollower {
  readonly #parts: FollowerParts;
  readonly #transaction: TransactionTracker;
  readonly #decoder: WalDecoder;
  #stream: WalStream | undefined;
  /** Decoding and emitting a chunk take turns. */
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#transaction = new TransactionTracker(parts.from, parts.inside);
    this.#decoder = new WalDecoder({
      encoder: parts.encoder,
      messages: parts.messages,
      transaction: this.#transaction,
      isFull: () => parts.appender.isFull,
    });
  }

  /** Ends when `signal` aborts; failures of the copy beside the stream go to `onFailure`. */
  async run(signal: AbortSignal, onFailure: (error: unknown) => void): Promise<void> {
    const { source, slot, publication, from, clock, encoder } = this.#parts;
    const options = { slot, publication, from, messages: true };
    await using stream = await source.follow(options, signal);
    this.#stream = stream;
    stream.confirm(from); // it stands in the log, or nothing before it is wanted
    // A copy waits for the stream, so it must not outlive it.
    const ended = new AbortController();
    const copying = this.#copyBeside(AbortSignal.any([signal, ended.signal]), onFailure);
    try {
      for await (const wal of stream.batches(signal)) {
        encoder.clock.set(clock());
        await this.#inTurn(() => this.#decodeAll(wal, signal));
      }
    } finally {
      this.#stream = undefined;
      ended.abort();
      await copying;
    }
  }

  /** The position of all that is encoded. */
  place(): Pick<Position, 'end' | 'transaction'> {
    return { end: this.#transaction.end, transaction: this.#transaction.place };
  }

  /** Ids of the transactions that were streamed last. */
  recentTransactions(): readonly number[] {
    return this.#transaction.recent();
  }

  confirm(upTo: Lsn): void {
    this.#stream?.confirm(upTo);
  }

  /** WAL bytes between what is confirmed and the server's end; undefined before the server told it. */
  lagBytes(confirmed: Lsn): number | undefined {
    const { serverEnd } = this.#decoder;
    return serverEnd === 0 ? undefined : Math.max(0, serverEnd - Number(confirmed));
  }

  /** Commit time of the transaction decoded last. */
  get lastCommitMs(): number | undefined {
    const { timeUs } = this.#transaction.origin;
    return timeUs === 0 ? undefined : timeUs / 1000;
  }

  async #decodeAll(wal: WalBatch, signal: AbortSignal): Promise<void> {
    const { relations, appender, encoder, messages, copy } = this.#parts;
    const writtenBefore = encoder.changes + messages.written;
    for (let next = 0; ;) {
      this.#decoder.stopsAtBoundaries = !copy.isDone;
      const halt = this.#decoder.decode(wal, next);
      if (halt.why === 'end') break;
      next = halt.next;
      if (halt.why === 'relation') await relations.learn(halt.shape);
      else if (halt.why === 'message-topic') await messages.declare();
      else if (halt.why === 'full') await appender.room();
      else await this.#emitIfDue(signal);
    }
    appender.kick();
    const written = encoder.changes + messages.written;
    if (written === writtenBefore && this.#decoder.hasMoved) appender.positionMoved();
    this.#decoder.hasMoved = false;
    if (appender.isFull) await appender.room();
  }

  /** Reads chunk after chunk, whenever there is something to copy; each is emitted when the stream has passed it. */
  async #copyBeside(signal: AbortSignal, onFailure: (error: unknown) => void): Promise<void> {
    const { copy, onCopied } = this.#parts;
    try {
      for (;;) {
        await copy.wanted(signal);
        if (signal.aborted) return;
        await copy.read(signal);
        await this.#inTurn(() => this.#emitIfDue(signal));
        await copy.emitted(signal);
        if (copy.isDone) onCopied();
      }
    } catch (error) {
      if (!signal.aborted) onFailure(error);
    } finally {
      await copy.stop();
    }
  }

  async #emitIfDue(signal: AbortSignal): Promise<void> {
    const { copy, appender } = this.#parts;
    const { isOpen, end } = this.#transaction;
    if (isOpen || !copy.isDue(end)) return;
    await copy.emit(end, signal);
    appender.positionMoved();
    appender.kick();
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    try {
      await before;
      await work();
    } finally {
      resolve();
    }
  }
}
