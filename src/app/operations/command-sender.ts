import { randomUUID } from 'node:crypto';
import type { Command } from '../../domain/command.ts';
import { MillraceError } from '../../domain/errors.ts';
import { blocksOf, type RecordBlock } from '../../domain/record-block.ts';
import type { EventLog, Producer } from '../../ports/event-log.ts';
import { COMMANDS } from '../topics.ts';

type WithoutStamp<T> = T extends unknown ? Omit<T, 'id' | 'atMs'> : never;

/** Puts commands into the log, where running parts read them. One at a time, in the order called. */
export class CommandSender implements AsyncDisposable {
  readonly #log: EventLog;
  readonly #clock: () => number;
  readonly #name: string;
  #producer: Promise<Producer> | undefined;

  /** `name` is the producer's; one sender of a name lives at a time. */
  constructor(log: EventLog, clock: () => number, name = 'operator') {
    this.#log = log;
    this.#clock = clock;
    this.#name = name;
  }

  /** Resolves when the command is durable; that it was obeyed shows in the part's status. */
  async send(asked: WithoutStamp<Command>): Promise<void> {
    const command = { id: randomUUID(), atMs: this.#clock(), ...asked } as Command;
    const record = {
      timestampMs: command.atMs,
      key: Buffer.from(command.id),
      value: Buffer.from(JSON.stringify(command)),
      headers: [],
    };
    const blocks = blocksOf([{ topic: COMMANDS, partition: 0, record }]);
    try {
      await this.#append(blocks);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'producer_expired') throw error;
      // Operators are idle for long.
      await this.#append(blocks);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opening = this.#producer;
    this.#producer = undefined;
    if (opening !== undefined) await close(opening);
  }

  async #append(blocks: readonly RecordBlock[]): Promise<void> {
    const opening = (this.#producer ??= this.#log.openProducer(this.#name));
    try {
      const producer = await opening;
      await producer.append(blocks);
    } catch (error) {
      // After a rejection a producer takes no more; the next command opens another.
      if (this.#producer === opening) this.#producer = undefined;
      await close(opening);
      throw error;
    }
  }
}

async function close(opening: Promise<Producer>): Promise<void> {
  // One that was never opened has told why where it was awaited.
  const producer = await opening.catch(() => undefined);
  await producer?.close();
}
