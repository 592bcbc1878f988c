/**
 * HOT PATH. Every change passes here, so nothing is allocated or awaited per message: what the
 * socket gives is gathered in one buffer, and a batch is that buffer with the bounds of the
 * messages in it.
 *
 * `pg` logs in; then its listener is taken off the socket, and this file reads and writes the
 * protocol itself: `pg` makes an object and an event of each message. Measured on two cores, server
 * on the same machine: 500k messages of 180 bytes, written before, drained at 400-550k/s with
 * 0.3-0.6 µs of CPU each, no decoding.
 */
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { MillraceError } from '../../domain/errors.ts';
import { formatLsn } from '../../domain/lsn.ts';
import type { Lsn } from '../../domain/lsn.ts';
import type { WalBatch, WalStream } from '../../ports/change-source.ts';
import { openConnection, sourceError } from './connection.ts';
import type { Attempt, ConnectionFacts } from './connection.ts';
import {
  COMMAND_COMPLETE,
  COPY_BOTH_RESPONSE,
  COPY_DATA,
  COPY_DONE,
  databaseError,
  emptyMessage,
  ERROR_RESPONSE,
  HEADER_BYTES,
  KEEPALIVE,
  NOTICE_RESPONSE,
  queryMessage,
  READY_FOR_QUERY,
} from './wal-stream-messages.ts';
import { StatusReporter } from './wal-stream-status.ts';

export type FollowOptions = Readonly<{
  slot: string;
  publication: string;
  from: Lsn;
  messages: boolean;
}>;

const TUNING = {
  /** What may wait for the reader before the socket is paused; a batch is seldom larger. */
  maxWaitingBytes: 1024 * 1024,
  /**
   * A reader that wakes for every message makes the server send every message by itself, which
   * slows the server. So after little came while the reader was busy, or right after the last, the
   * socket rests and fills. What comes alone is delivered at once.
   */
  littleBytes: 16 * 1024,
  restMs: 1,
  maxStatusIntervalMs: 10_000,
  /**
   * A server that is asked for a sign of life with each status, and gives none for so long, is
   * gone without a word: else only TCP's retries would tell, after a quarter of an hour.
   */
  maxSilenceMs: 120_000,
  /** How long the end waits for the server to release the slot. */
  maxCloseMs: 1000,
} as const;

export class PostgresWalStream implements WalStream {
  readonly #facts: ConnectionFacts;
  readonly #socket: Duplex;
  readonly #slot: string;
  readonly #publication: string;

  /** Received and not yet handed on: `#unread` to `#filled`. */
  #filling = Buffer.allocUnsafeSlow(TUNING.maxWaitingBytes);
  #unread = 0;
  #filled = 0;
  /** The buffer of the batch that the reader holds; filled again once the next is asked for. */
  #handedOn = Buffer.allocUnsafeSlow(TUNING.maxWaitingBytes);
  #bounds = new Int32Array(4096);
  #maxWaiting: number = TUNING.maxWaitingBytes;

  #isFull = false;
  #isResting = false;
  #lastArrivalAtMs = 0;
  #restTimer: NodeJS.Timeout | undefined;
  #arrivedBytes = 0;
  #arrivalCheck: NodeJS.Immediate | undefined;
  /** Set while the reader waits. */
  #wake: (() => void) | undefined;
  #hasStarted = false;
  #failure: unknown;
  #closed: Promise<void> | undefined;
  /** Signals outlive streams, and would hold their buffers. */
  readonly #letGo: (() => void)[] = [];
  #released: (() => void) | undefined;

  readonly #status: StatusReporter;
  #statusTimer: NodeJS.Timeout | undefined;

  private constructor(
    facts: ConnectionFacts,
    socket: Duplex,
    { slot, publication }: Pick<FollowOptions, 'slot' | 'publication'>,
  ) {
    this.#facts = facts;
    this.#socket = socket;
    this.#slot = slot;
    this.#publication = publication;
    this.#status = new StatusReporter((message) => {
      if (socket.writable) socket.write(message);
    });
  }

  /** Fails with `slot_in_use`, `slot_missing`, `slot_lost`, or as a connection does. */
  static async open(
    facts: ConnectionFacts,
    options: FollowOptions,
    signal: AbortSignal,
  ): Promise<PostgresWalStream> {
    signal.throwIfAborted();
    const connection = await openConnection(facts, { replication: true, signal });
    const timeoutMs = await readSenderTimeout(connection).catch((error: unknown) => {
      connection.connection.stream.destroy();
      throw sourceError(error, facts);
    });
    const { stream: socket } = connection.connection;
    const stream = new PostgresWalStream(facts, socket, options);
    try {
      await stream.#start(options, signal);
    } catch (error) {
      await stream[Symbol.asyncDispose]();
      throw error;
    }
    stream.#keepAlive(timeoutMs);
    stream.#endWith(signal);
    return stream;
  }

  /** For one reader at a time. Ends, without an error, when a signal aborts or the stream is disposed. */
  async *batches(signal: AbortSignal): AsyncIterable<WalBatch> {
    const letGo = this.#endWith(signal);
    try {
      while (this.#closed === undefined) {
        const count = this.#take();
        if (count > 0) {
          yield { bytes: this.#handedOn, bounds: this.#bounds, count };
        } else if (this.#failure !== undefined) {
          throw this.#failure;
        } else {
          await this.#arrival();
        }
      }
      await this.#closed;
    } finally {
      letGo();
    }
  }

  confirm(upTo: Lsn): void {
    this.#status.confirm(upTo);
  }

  /** Tells the server what was confirmed last, and lets it release the slot before it returns. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    this.#wakeReader();
    return this.#closed;
  }

  async #start({ slot, publication, from, messages }: FollowOptions, signal: AbortSignal) {
    const socket = this.#socket;
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('Connection terminated')));
    const names = pg.escapeLiteral(pg.escapeIdentifier(publication));
    socket.write(
      queryMessage(
        `START_REPLICATION SLOT ${pg.escapeIdentifier(slot)} LOGICAL ${formatLsn(from)} ` +
          `(proto_version '1', publication_names ${names}${messages ? `, messages 'true'` : ''})`,
      ),
    );
    const wake = () => this.#wakeReader();
    signal.addEventListener('abort', wake, { once: true });
    this.#letGo.push(() => signal.removeEventListener('abort', wake));
    while (!this.#hasStarted) {
      signal.throwIfAborted();
      this.#takeAnswer();
      if (this.#failure !== undefined) throw this.#failure;
      if (!this.#hasStarted) await this.#arrival();
    }
  }

  /** Returns what takes the listener off the signal again; the end of the stream does so anyway. */
  #endWith(signal: AbortSignal): () => void {
    const end = () => void this[Symbol.asyncDispose]();
    const letGo = () => signal.removeEventListener('abort', end);
    signal.addEventListener('abort', end, { once: true });
    this.#letGo.push(letGo);
    if (signal.aborted) end();
    return letGo;
  }

  #arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #receive(chunk: Buffer): void {
    const filled = this.#filled + chunk.length;
    if (filled > this.#filling.length) this.#filling = grown(this.#filling, filled, this.#filled);
    chunk.copy(this.#filling, this.#filled);
    this.#filled = filled;
    if (this.#closed !== undefined) {
      this.#discard();
      return;
    }
    if (filled - this.#unread >= this.#maxWaiting) {
      this.#isFull = true;
      this.#socket.pause();
    }
    this.#arrivedBytes += chunk.length;
    this.#arrivalCheck ??= setImmediate(() => this.#afterArrival());
  }

  /**
   * Once for all chunks that the event loop had at hand: what TLS gives comes in pieces of 8 kB,
   * however much has arrived.
   */
  #afterArrival(): void {
    const bytes = this.#arrivedBytes;
    this.#arrivedBytes = 0;
    this.#arrivalCheck = undefined;
    const now = performance.now();
    const isUnderLoad = this.#wake === undefined || now - this.#lastArrivalAtMs < TUNING.restMs;
    this.#lastArrivalAtMs = now;
    if (bytes < TUNING.littleBytes && isUnderLoad && this.#hasStarted) this.#rest();
    this.#wakeReader();
  }

  #rest(): void {
    this.#isResting = true;
    this.#socket.pause();
    this.#restTimer ??= setTimeout(() => {
      this.#isResting = false;
      if (!this.#isFull) this.#socket.resume();
    }, TUNING.restMs);
    this.#restTimer.refresh();
  }

  /** Makes a batch of all whole messages received; returns how many there are. */
  #take(): number {
    const bytes = this.#filling;
    const end = this.#filled;
    let at = this.#unread;
    let bounds = this.#bounds;
    let count = 0;
    let isReplyWanted = false;
    while (end - at >= HEADER_BYTES) {
      const next = at + 1 + bytes.readInt32BE(at + 1);
      if (next > end) break;
      const payload = at + HEADER_BYTES;
      if (bytes[at] === COPY_DATA) {
        if (2 * count + 2 > bounds.length) {
          this.#bounds = new Int32Array(bounds.length * 2);
          this.#bounds.set(bounds);
          bounds = this.#bounds;
        }
        bounds[2 * count] = payload;
        bounds[2 * count + 1] = next;
        count++;
        // A keepalive's last byte asks for a reply.
        if (bytes[payload] === KEEPALIVE && bytes[next - 1] === 1) isReplyWanted = true;
      } else {
        this.#control(bytes[at], bytes.subarray(payload, next));
        // What comes after a failure must not move the position past it.
        if (this.#failure !== undefined) break;
      }
      at = next;
    }
    this.#unread = at;
    if (count > 0) this.#swap();
    this.#maxWaiting = TUNING.maxWaitingBytes + this.#filled - this.#unread;
    if (this.#isFull) {
      this.#isFull = false;
      if (!this.#isResting) this.#socket.resume();
    }
    if (isReplyWanted) this.#status.report();
    return count;
  }

  /** Hands the full buffer on; the part of a message at its end begins the other one. */
  #swap(): void {
    const full = this.#filling;
    const rest = this.#filled - this.#unread;
    const wanted = TUNING.maxWaitingBytes + rest;
    let next = this.#handedOn;
    // One large message must not hold its memory for ever.
    if (next.length < wanted || next.length > 4 * wanted) next = Buffer.allocUnsafeSlow(wanted);
    full.copy(next, 0, this.#unread, this.#filled);
    this.#handedOn = full;
    this.#filling = next;
    this.#unread = 0;
    this.#filled = rest;
  }

  /** Messages up to the answer to START_REPLICATION; WAL may follow it in the same chunk. */
  #takeAnswer(): void {
    const bytes = this.#filling;
    while (!this.#hasStarted && this.#filled - this.#unread >= HEADER_BYTES) {
      const at = this.#unread;
      const next = at + 1 + bytes.readInt32BE(at + 1);
      if (next > this.#filled) return;
      this.#unread = next;
      this.#control(bytes[at], bytes.subarray(at + HEADER_BYTES, next));
    }
  }

  /** After the end only the server's release of the slot matters. The reader may still hold a batch. */
  #discard(): void {
    const bytes = this.#filling;
    let at = this.#unread;
    while (this.#filled - at >= HEADER_BYTES) {
      const next = at + 1 + bytes.readInt32BE(at + 1);
      if (next > this.#filled) break;
      if (bytes[at] === READY_FOR_QUERY) this.#released?.();
      at = next;
    }
    bytes.copyWithin(0, at, this.#filled);
    this.#filled -= at;
    this.#unread = 0;
  }

  #control(type: number | undefined, payload: Buffer): void {
    if (type === COPY_BOTH_RESPONSE) this.#hasStarted = true;
    else if (type === ERROR_RESPONSE) this.#fail(databaseError(payload));
    else if (type === NOTICE_RESPONSE) this.#notice(databaseError(payload));
    else if (type === COPY_DONE || type === COMMAND_COMPLETE) {
      // Only a server that shuts down ends a stream that nobody asked it to end.
      const said = 'the server ended the stream, as it does when it shuts down';
      this.#fail(new MillraceError('source_unreachable', { slot: this.#slot, said }));
    }
  }

  /** Since version 18 the server warns that the publication is gone, and leaves out all changes from there on. */
  #notice(notice: pg.DatabaseError): void {
    if (notice.routine === 'LoadPublications') this.#fail(notice);
  }

  /** The first failure is the cause; what it brings about says less. */
  #fail(error: unknown): void {
    const purpose = this.#hasStarted ? `read from the slot ${this.#slot}` : 'start replication';
    const attempt: Attempt = { purpose, slot: this.#slot };
    this.#failure ??= this.#isOfPublication(error)
      ? new MillraceError('publication_missing', { publication: this.#publication }, error)
      : sourceError(error, this.#facts, attempt);
    this.#released?.();
    this.#wakeReader();
  }

  /** An object that is missing once the stream has started: the slot was there. */
  #isOfPublication(error: unknown): boolean {
    if (!this.#hasStarted || !(error instanceof pg.DatabaseError)) return false;
    return error.code === '42704' || error.routine === 'LoadPublications';
  }

  /** The server hangs up on a receiver that says nothing for wal_sender_timeout. */
  #keepAlive(timeoutMs: number): void {
    const everyMs = Math.min(
      TUNING.maxStatusIntervalMs,
      timeoutMs === 0 ? Infinity : timeoutMs / 3,
    );
    this.#lastArrivalAtMs = performance.now();
    this.#statusTimer = setInterval(() => {
      const now = performance.now();
      // While the socket is paused, it is the reader who is silent.
      if (this.#isFull) this.#lastArrivalAtMs = now;
      if (now - this.#lastArrivalAtMs > TUNING.maxSilenceMs) {
        const said = `nothing for ${TUNING.maxSilenceMs / 1000} s`;
        this.#fail(new MillraceError('source_unreachable', { slot: this.#slot, said }));
      }
      this.#status.report(true);
    }, everyMs);
    this.#status.report();
  }

  async #close(): Promise<void> {
    clearImmediate(this.#arrivalCheck);
    clearTimeout(this.#restTimer);
    clearInterval(this.#statusTimer);
    for (const letGo of this.#letGo) letGo();
    this.#status.end();
    if (this.#hasStarted && this.#failure === undefined) {
      const released = new Promise<void>((resolve) => {
        this.#released = resolve;
      });
      this.#socket.write(emptyMessage('c'));
      this.#socket.resume();
      // Amid a large transaction the server goes on sending; then it finds the socket closed.
      const limit = setTimeout(() => this.#released?.(), TUNING.maxCloseMs);
      await released;
      clearTimeout(limit);
    }
    if (this.#socket.writable) this.#socket.write(emptyMessage('X'));
    this.#socket.destroy();
  }
}

/** In ms; 0 is never. */
async function readSenderTimeout(connection: pg.Client): Promise<number> {
  const { rows } = await connection.query<{ setting: string }>(
    `SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'`,
  );
  return Number(rows[0]?.setting ?? 0);
}

function grown(buffer: Buffer, needed: number, filled: number): Buffer<ArrayBuffer> {
  let length = buffer.length;
  while (length < needed) length *= 2;
  const larger = Buffer.allocUnsafeSlow(length);
  buffer.copy(larger, 0, 0, filled);
  return larger;
}
