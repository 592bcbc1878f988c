/** As many as are in use at once, mostly: those of one large append. */
const KEPT = 8;

/**
 * Buffers of one size, used again. Allocated anew for every batch, they are memory outside of the
 * heap that makes the collector run in full for each few of them.
 */
export class SpareBuffers {
  readonly size: number;
  readonly #spare: Buffer[] = [];

  constructor(size: number) {
    this.size = size;
  }

  /** With whatever bytes it had. */
  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Takes back a buffer that nobody uses any more, or a part of it; leaves alone what came from elsewhere. */
  give({ buffer }: Buffer): void {
    if (buffer.byteLength === this.size && this.#spare.length < KEPT)
      this.#spare.push(Buffer.from(buffer));
  }
}
