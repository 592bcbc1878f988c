import { encodeHeaders, type Header } from '../../domain/record-block.ts';

/** Identifies an outgoing record for its readers. */
const ID_HEADER = 'millrace.id';

/** Digits of an offset, of a tick and of an index, and what stands between them. */
const MOST_AFTER_TASK = 64;

/**
 * The header set of an outgoing record that has no other headers: `millrace.id`, which is
 * `<task>:<offset of the cause>:<index>`, or `<task>:<offset>.<tick>:<index>` where time that passed
 * after the record is the cause.
 *
 * HOT PATH: written once a record. Only what differs from the record before is written, digit by digit.
 */
export class IdHeader {
  readonly bytes: Buffer;
  /** Of the set, in `bytes`. */
  length: number;
  readonly #valueStart: number;
  readonly #causeStart: number;
  #causeEnd: number;

  constructor(task: string) {
    const encoded = encodeHeaders([[ID_HEADER, `${task}:`]]);
    this.bytes = Buffer.concat([encoded], encoded.length + MOST_AFTER_TASK);
    this.length = this.#causeStart = this.#causeEnd = encoded.length;
    this.#valueStart = encoded.length - Buffer.byteLength(`${task}:`);
  }

  begin(offset: number, tick: number): void {
    let at = this.#write(offset, this.#causeStart);
    if (tick > 0) {
      this.bytes[at] = DOT;
      at = this.#write(tick, at + 1);
    }
    this.bytes[at] = COLON;
    this.#causeEnd = at + 1;
  }

  /** Ends the id with a number. */
  number(index: number): void {
    this.#endAt(this.#write(index, this.#causeEnd));
  }

  /** Ends the id with a word. */
  end(word: string): void {
    this.#endAt(this.#causeEnd + this.bytes.write(word, this.#causeEnd));
  }

  get header(): Header {
    return [ID_HEADER, this.bytes.toString('utf8', this.#valueStart, this.length)];
  }

  #endAt(end: number): void {
    this.bytes.writeUInt32LE(end - this.#valueStart, this.#valueStart - 4);
    this.length = end;
  }

  /** Returns where the number ends. */
  #write(number: number, at: number): number {
    if (!(number >= 0 && number < 1e9)) return at + this.bytes.write(String(number), at, 'latin1');
    let end = at + 1;
    for (let left = number; left >= 10; left = (left / 10) | 0) end += 1;
    let left = number;
    for (let digit = end - 1; digit >= at; digit -= 1) {
      const rest = (left / 10) | 0;
      this.bytes[digit] = ZERO + left - rest * 10;
      left = rest;
    }
    return end;
  }
}

const ZERO = 0x30;
const COLON = 0x3a;
const DOT = 0x2e;
