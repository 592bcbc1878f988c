import type { Effects } from './effects.ts';
import { KEYLESS, type ParkedGroup } from './parked-keys.ts';
import type { ParkingLot } from './parking-lot.ts';
import type { Prepared, RecordHandler } from './record-handler.ts';

/** An operator's order about parked records: of a key, of those without one (null), or of all. */
export type ReplayOrder = Readonly<{
  /** The command's. */
  id: string;
  isDrop: boolean;
  key: string | null | undefined;
}>;

export type ParkedReplayOptions = Readonly<{
  parking: ParkingLot;
  handler: RecordHandler;
  effects: Effects;
  maxRecords: number;
  /** How often parked records were replayed, in all of the task's lives. */
  replays: () => number;
  /** Returns once there is room for what is put out. */
  room: (signal: AbortSignal) => Promise<void>;
  /** Commits what was done, with the number of this replay. */
  commit: (replays: number) => Promise<void>;
}>;

/** Does with parked records as an operator orders, while nothing else is under way in their task. */
export class ParkedReplay {
  readonly #options: ParkedReplayOptions;

  constructor(options: ParkedReplayOptions) {
    this.#options = options;
  }

  async obey({ id, isDrop, key }: ReplayOrder, signal: AbortSignal): Promise<void> {
    for (const { group, drop } of this.#options.parking.plan(key, isDrop)) {
      await this.#replay(id, group, drop, signal);
    }
  }

  /**
   * Processes a group's records in order, those that succeed leaving it in the same commit. The
   * first that fails again keeps the rest waiting, but for records without a key.
   */
  async #replay(
    order: string,
    group: ParkedGroup,
    drop: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { parking, handler, effects, maxRecords, room, commit } = this.#options;
    const offsets = parking.offsets(group);
    let isBlocked = false;
    for (let at = 0; at < offsets.length && !isBlocked && !signal.aborted; at += maxRecords) {
      const slice = offsets.slice(at, at + maxRecords);
      const replays = this.#options.replays() + 1;
      effects.beginReplay(`${order}/${replays}`);
      const dropped = slice.slice(0, Math.max(0, drop - at));
      for (const offset of dropped) parking.remove(group, offset);
      await room(signal);
      const records = await parking.records(group, slice.slice(dropped.length));
      for (const prepared of await handler.prepare(records, () => false)) {
        isBlocked = !(await this.#retry(group, prepared)) && group !== KEYLESS;
        if (isBlocked) break;
      }
      await commit(replays);
    }
  }

  /** Whether it succeeded this time. */
  async #retry(group: ParkedGroup, prepared: Prepared): Promise<boolean> {
    const { parking, handler } = this.#options;
    const { record, does } = prepared;
    const failed = await handler.attempt(prepared);
    if (failed !== undefined) {
      parking.failedAgain(group, record, failed);
      return false;
    }
    parking.remove(group, record.offset);
    if (does === 'truncate') parking.truncated(record);
    return true;
  }
}
