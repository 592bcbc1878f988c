import { formatPosition, type Position } from '../domain/position.ts';
import type { Producer } from '../ports/event-log.ts';
import type { RecordBatch } from './record-batch.ts';

/** A position on its own is stored at most this often: each is a flush of the disk. */
const POSITION_EVERY_MS = 100;

/**
 * Appends what has been encoded, one batch after the other: while one is being made durable, the
 * next is filled. The first record of a quiet time waits for nothing.
 */
export class LogAppender {
  readonly #producer: Producer;
  readonly #batch: RecordBatch;
  readonly #maxBytes: number;
  readonly #positionNow: () => Position;
  readonly #onDurable: (position: Position) => void;
  readonly #onFailure: (error: unknown) => void;
  #underWay: Promise<void> | undefined;
  #hasNewPosition = false;
  #timer: NodeJS.Timeout | undefined;
  #failure: { error: unknown } | undefined;
  #begun = 0;
  #ended = 0;

  constructor(parts: {
    producer: Producer;
    batch: RecordBatch;
    maxBytes: number;
    /** The position of all that is encoded at the moment of asking. */
    positionNow: () => Position;
    onDurable: (position: Position) => void;
    onFailure: (error: unknown) => void;
  }) {
    this.#producer = parts.producer;
    this.#batch = parts.batch;
    this.#maxBytes = parts.maxBytes;
    this.#positionNow = parts.positionNow;
    this.#onDurable = parts.onDurable;
    this.#onFailure = parts.onFailure;
  }

  /** True when the batch must be let go before more is encoded. */
  get isFull(): boolean {
    return this.#batch.bytes >= this.#maxBytes;
  }

  /** Begins to append what there is; while an append is under way, its end does. */
  kick(): void {
    if (this.#underWay !== undefined || this.#failure !== undefined) return;
    if (this.#batch.isEmpty && !this.#hasNewPosition) return;
    this.#underWay = this.#append().then(() => {
      this.#underWay = undefined;
      this.kick();
    });
  }

  /** The position moved on without records: it is stored soon. */
  positionMoved(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#hasNewPosition = true;
      this.kick();
    }, POSITION_EVERY_MS);
  }

  /** Waits until there is room for more. */
  async room(): Promise<void> {
    while (this.isFull) {
      this.kick();
      await this.#underWay;
      this.#throwFailure();
    }
  }

  /** Waits until what is encoded now, and the position as it is now, are durable; more may come meanwhile. */
  async stored(): Promise<void> {
    this.#hasNewPosition = true;
    for (const wanted = this.#begun + 1; this.#ended < wanted;) {
      this.kick();
      await this.#underWay;
      this.#throwFailure();
    }
  }

  /** Waits until all that is encoded, and its position, are durable. */
  async drain(): Promise<void> {
    this.#hasNewPosition = true;
    this.kick();
    while (this.#underWay !== undefined) {
      await this.#underWay;
      this.kick();
    }
    this.#throwFailure();
  }

  /** Ends the timer, and waits for the append that is under way. Nothing more is begun. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#failure ??= { error: new Error('the appender was stopped') };
    await this.#underWay;
  }

  /** Never rejects. */
  async #append(): Promise<void> {
    try {
      this.#begun += 1;
      this.#hasNewPosition = false;
      const position = this.#positionNow();
      const blocks = this.#batch.take();
      await this.#producer.append(blocks, formatPosition(position));
      this.#batch.reuse(blocks);
      this.#ended += 1;
      this.#onDurable(position);
    } catch (error) {
      this.#failure ??= { error };
      this.#onFailure(error);
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
