import { MillraceError } from '../../domain/errors.ts';
import type { RecordBlock } from '../../domain/record-block.ts';
import type { Producer } from '../../ports/event-log.ts';
import type { LogSegment } from './log-segment.ts';
import { pack, type PackedBlock } from './packed-block.ts';
import { Refusal, type LogWriter } from './log-writer.ts';

type Options = Readonly<{
  name: string;
  epoch: number;
  position: string | undefined;
  writer: LogWriter;
  /** Throws the refusal of an append that names what is not there. */
  check: (segment: LogSegment, blocks: readonly RecordBlock[]) => void;
  /** Called when the blocks are durable. */
  appended: (blocks: readonly RecordBlock[]) => void;
}>;

export class LmdbProducer implements Producer {
  readonly #options: Options;
  #position: string | undefined;
  #failure: unknown;
  #packed: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#position = options.position;
  }

  get position(): string | undefined {
    return this.#position;
  }

  async append(blocks: readonly RecordBlock[], position?: string): Promise<void> {
    if (this.#closed) throw new Error(`the producer ${this.#options.name} was closed`);
    if (this.#failure !== undefined) throw this.#failure;
    const packed = await this.#pack(blocks);
    const bytes = packed.reduce((sum, block) => sum + block.bytes.length, 0);
    await this.#options.writer.write(
      (segment) => this.#write(segment, packed, position),
      bytes,
      (error) => (this.#failure ??= error),
    );
    if (position !== undefined) this.#position = position;
    this.#options.appended(blocks);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Appends may overlap while they are packed; they land in the order called. */
  async #pack(blocks: readonly RecordBlock[]): Promise<readonly PackedBlock[]> {
    const packing = Promise.all([pack(blocks), this.#packed]).then(([packed]) => packed);
    this.#packed = packing;
    return packing;
  }

  #write(segment: LogSegment, blocks: readonly PackedBlock[], position: string | undefined): void {
    const { name, epoch, check } = this.#options;
    if (this.#failure !== undefined) throw new Refusal(this.#failure);
    const newestEpoch = segment.producer(name)?.epoch;
    if (newestEpoch !== epoch) {
      throw new Refusal(
        new MillraceError('producer_fenced', { producer: name, epoch, newestEpoch }),
      );
    }
    check(segment, blocks);
    for (const block of blocks) segment.records.append(block);
    if (position !== undefined) segment.putProducer(name, { epoch, position });
  }
}
