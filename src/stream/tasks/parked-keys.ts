import type { LogRecord } from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';
import { textOf } from './record-text.ts';

/** Records without a key: they share no order, so none waits for another. */
export const KEYLESS = '-';
/** Behind a truncate that failed: it is of every key, so all after it waits. */
export const BARRIER = '*';

/** Records of one order: those of one key (`=` and the key's text), `KEYLESS`, or `BARRIER`. */
export type ParkedGroup = string;

/**
 * Knows which records of a partition are parked, and so which of the records to come must wait
 * behind them. Offsets of a group are in order; the first is the one that failed. Records that come
 * again, from before those, wait for none of them.
 */
export class ParkedKeys {
  readonly #groups = new Map<ParkedGroup, number[]>();
  #count = 0;

  /** Records parked, those that wait behind others included. */
  get count(): number {
    return this.#count;
  }

  /** Where a record that comes now must wait, and for which offset; undefined when it need not. */
  waits(record: LogRecord): Readonly<{ group: ParkedGroup; behind: number }> | undefined {
    if (this.#count === 0) return undefined;
    const { offset } = record;
    const isBarred = (this.#groups.get(BARRIER)?.[0] ?? Infinity) < offset;
    const group = isBarred ? BARRIER : groupOf(record, false);
    const behind = group === KEYLESS ? undefined : this.#groups.get(group)?.[0];
    return behind === undefined || behind >= offset ? undefined : { group, behind };
  }

  /** Whether this record is parked, which only one that comes again can be. */
  has(record: LogRecord): boolean {
    if (this.#count === 0) return false;
    const offsets = this.#groups.get(groupOf(record, false)) ?? [];
    return record.offset <= (offsets.at(-1) ?? -1) && offsets.includes(record.offset);
  }

  add(group: ParkedGroup, offset: number): void {
    const offsets = this.#groups.get(group) ?? [];
    this.#groups.set(group, offsets);
    const isLast = (offsets.at(-1) ?? -1) < offset;
    if (isLast) offsets.push(offset);
    else
      offsets.splice(
        offsets.findIndex((each) => each > offset),
        0,
        offset,
      );
    this.#count += 1;
  }

  remove(group: ParkedGroup, offset: number): void {
    const offsets = must(this.#groups.get(group), 'only what was added is removed');
    offsets.splice(offsets.indexOf(offset), 1);
    if (offsets.length === 0) this.#groups.delete(group);
    this.#count -= 1;
  }

  offsets(group: ParkedGroup): readonly number[] {
    return [...(this.#groups.get(group) ?? [])];
  }

  /** All that was parked before `offset`. */
  before(offset: number): Readonly<{ group: ParkedGroup; offset: number }>[] {
    return [...this.#groups].flatMap(([group, offsets]) =>
      offsets.filter((each) => each < offset).map((each) => ({ group, offset: each })),
    );
  }

  /**
   * What an operator's order concerns, oldest first: the records of one key; with null all that
   * have none; with undefined every group. `drop` is how many of the first go away untried: one of
   * each key, and of records without a key each when all is asked for, else the oldest alone.
   */
  plan(
    key: string | null | undefined,
    isDrop: boolean,
  ): Readonly<{ group: ParkedGroup; drop: number }>[] {
    const concerned = (group: ParkedGroup): boolean =>
      key === undefined || (key === null ? !group.startsWith('=') : group === `=${key}`);
    return [...this.#groups]
      .filter(([group]) => concerned(group))
      .toSorted(([, [a = 0]], [, [b = 0]]) => a - b)
      .map(([group, offsets], index) => {
        if (!isDrop || (key === null && index > 0)) return { group, drop: 0 };
        return { group, drop: key === undefined && group === KEYLESS ? offsets.length : 1 };
      });
  }
}

/** The group of a record that failed. */
export function groupOf(record: LogRecord, isTruncate: boolean): ParkedGroup {
  if (isTruncate) return BARRIER;
  const { key } = textOf({ key: record.key, value: null });
  return key === null ? KEYLESS : `=${key}`;
}
