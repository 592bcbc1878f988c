import { randomUUID } from 'node:crypto';
import { MillraceError } from '../../domain/errors.ts';
import type { ProcessorStatus } from '../../domain/status.ts';
import type { TopicPartition } from '../../ports/event-log.ts';
import type { CommandSender } from '../operations/command-sender.ts';
import { idOf, type Places } from './processor-partitions.ts';
import type { StatusBoard } from '../status/status-board.ts';

/** A hold ends by itself after so long, should we die; while we live it is renewed in time. */
const LEASE_MS = 30_000;
const RENEW_MS = 10_000;
/** Who has joined the workers knows of no hold: it obeys none from before its own start. */
const LOOK_FOR_WORKERS_MS = 500;
/** A group needs this at most to give what a dead worker had to the others. */
const UNCLAIMED_PATIENCE_MS = 60_000;
/** A worker that lost a server, or was cut off, is started again within seconds. */
const FAILED_PATIENCE_MS = 15_000;

/** Processors at rest: placed by commands, renewed on a timer, released when disposed. */
export class ProcessorHold implements AsyncDisposable {
  readonly #commands: CommandSender;
  readonly #statuses: StatusBoard;
  readonly #processors: ReadonlyMap<string, readonly TopicPartition[]>;
  #id: string | undefined;
  #at: Places | 'now' = 'now';
  #renewing: NodeJS.Timeout | undefined;
  #sentAtMs = 0;
  #sentTo = '';
  #failure: unknown;

  constructor(
    parts: Readonly<{
      commands: CommandSender;
      statuses: StatusBoard;
      /** By name, with all their partitions. */
      processors: ReadonlyMap<string, readonly TopicPartition[]>;
    }>,
  ) {
    this.#commands = parts.commands;
    this.#statuses = parts.statuses;
    this.#processors = parts.processors;
  }

  /**
   * Resolves when every processor rests there, in all its partitions; to where that is. Replaces
   * the last place, without a gap between. Throws `reconcile_disturbed` when one is past its place.
   */
  async place(at: Places | 'now', signal: AbortSignal): Promise<ReadonlyMap<string, Places>> {
    const before = this.#id;
    this.#id = randomUUID();
    this.#at = at;
    await this.#send(this.#id);
    this.#renewing ??= setInterval(() => void this.#renew(), LOOK_FOR_WORKERS_MS);
    if (before !== undefined) await this.#release(before);
    const places = new Map<string, Places>();
    for (const name of this.#processors.keys())
      places.set(name, await this.#untilAtRest(name, signal));
    return places;
  }

  /** As far as is told: one that does not tell so may rest all the same. Throws when the hold could not be renewed. */
  isKept(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    const names = [...this.#processors.keys()];
    return names.every((name) => this.#statuses.processor(name)?.hold === this.#id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#renewing);
    if (this.#id !== undefined) await this.#release(this.#id);
  }

  async #untilAtRest(name: string, signal: AbortSignal): Promise<Places> {
    const partitions = this.#processors.get(name) ?? [];
    let claimedAtMs = performance.now();
    let atWorkAtMs = performance.now();
    return this.#statuses.until(() => {
      if (this.#failure !== undefined) throw this.#failure;
      const status = this.#statuses.processor(name);
      if (status?.state !== 'failed') atWorkAtMs = performance.now();
      const patienceMs = this.#statuses.workers.length > 0 ? FAILED_PATIENCE_MS : 0;
      if (status?.state === 'failed' && performance.now() - atWorkAtMs >= patienceMs)
        throw new MillraceError('reconcile_not_possible', {
          expected: `${name} running`,
          found: `it has failed: ${status.problem ?? 'see the log'}`,
        });
      const places = placesOf(status);
      const unclaimed = partitions.map(idOf).filter((id) => !(id in places));
      if (unclaimed.length === 0) claimedAtMs = performance.now();
      else if (performance.now() - claimedAtMs > UNCLAIMED_PATIENCE_MS)
        throw new MillraceError('reconcile_not_possible', {
          expected: `every partition of ${name} with a worker`,
          found: `none for ${unclaimed.join(', ')}${status?.problem === undefined ? '' : `; ${status.problem}`}`,
        });
      const rests = status?.hold === this.#id && unclaimed.length === 0;
      return rests && this.#hasReached(name, places) ? places : undefined;
    }, signal);
  }

  /** Who joined in between may have gone on before it heard of the hold. */
  #hasReached(name: string, places: Places): boolean {
    if (this.#at === 'now') return true;
    let hasReached = true;
    for (const [id, place] of Object.entries(places)) {
      const target = this.#at[id] ?? place;
      hasReached &&= place >= target;
      if (place > target)
        throw new MillraceError('reconcile_disturbed', {
          expected: `${name} at rest before offset ${target} of ${id}`,
          found: `it went on to ${place}`,
        });
    }
    return hasReached;
  }

  async #send(hold: string): Promise<void> {
    this.#sentAtMs = performance.now();
    this.#sentTo = this.#workers();
    for (const processor of this.#processors.keys())
      await this.#commands.send({ do: 'hold', processor, hold, at: this.#at, leaseMs: LEASE_MS });
  }

  async #renew(): Promise<void> {
    const isDue = performance.now() - this.#sentAtMs >= RENEW_MS;
    if (this.#id === undefined || (!isDue && this.#sentTo === this.#workers())) return;
    try {
      await this.#send(this.#id);
    } catch (error) {
      this.#failure = error;
    }
  }

  async #release(hold: string): Promise<void> {
    for (const processor of this.#processors.keys())
      await this.#commands.send({ do: 'release', processor, hold });
  }

  #workers(): string {
    return this.#statuses.workers.map(({ worker, state }) => `${worker} ${state}`).join();
  }
}

/** Of the partitions that are claimed: the next record to be read. */
function placesOf(status: ProcessorStatus | undefined): Places {
  const partitions = status?.tasks.flatMap((task) => task.partitions) ?? [];
  return Object.fromEntries(partitions.map((each) => [idOf(each), each.offset]));
}
