import type { Audit } from '../../domain/audit.ts';
import type { SqlValue } from '../../ports/sql-engine.ts';
import type { LakeGap, LakeReset, LakeTable } from './manifest.ts';

type Values = Readonly<Record<string, SqlValue>>;

/** A change as the lake holds it. */
export type RowChange = Readonly<{
  op: string;
  /** Commit time: ISO 8601 in UTC, up to microseconds. */
  at: string;
  partition: number;
  offset: number;
  transaction: number | null;
  lsn: number | string | null;
  values: Values;
  /** Columns whose unchanged value was left out. */
  unavailable: readonly string[];
  said: Partial<Audit> | undefined;
}>;

/** Without `old` there was no row, or none is known; without `new` there is none any more. */
export type ColumnChange = Readonly<{ name: string; old?: SqlValue; new?: SqlValue }>;

/**
 * - `created`, `changed`, `deleted`, `truncated`: by a transaction of the source
 * - `copied`: read by a copy; with columns, where it differs from what was known
 * - `stood`: as retention has left it; what came before is no longer kept
 * - `lost`: a copy of the table did not find it any more: how it went is not known
 * - `gap`: changes of the table, perhaps of this row, are missing in the lake
 */
export type RowEvent = Readonly<{ at: string; columns: readonly ColumnChange[] }> &
  (
    | (Readonly<{ what: 'created' | 'changed' | 'deleted' | 'truncated' | 'copied' }> & Origin)
    | Readonly<{ what: 'stood' | 'lost' }>
    | Readonly<{ what: 'gap'; records: number }>
  );

type Origin = Readonly<{
  transaction: number | null;
  lsn: number | string | null;
  partition: number;
  offset: number;
  /** Null: nobody said so. */
  actor: string | null;
  /** All else that the transaction says of itself. */
  facts: Readonly<Record<string, unknown>>;
}>;

/** Makes diffs of a row's changes, in their order: the old values are those of the change before. */
export class RowLife {
  readonly #isKeyed: boolean;
  readonly #names: readonly string[];
  readonly #resets: LakeReset[];
  readonly #gaps: LakeGap[];
  #row: Values | undefined;
  #place: Readonly<{ partition: number; offset: number }> | undefined;
  /** Of a table without a key: the old row of an update, until the new one comes. */
  #removed: RowChange | undefined;

  /** `names`: of the columns, in the order in which they are told. */
  constructor({ key, resets, gaps = [] }: LakeTable, names: readonly string[]) {
    this.#isKeyed = key.length > 0;
    this.#names = names;
    this.#resets = resets.filter(({ cause }) => cause === 'copy').toSorted((a, b) => a.at - b.at);
    this.#gaps = gaps.toSorted((a, b) => a.from - b.from);
  }

  /** With what is known from before the first change. */
  *begin(rows: readonly RowChange[]): Generator<RowEvent> {
    for (const { values, at, partition, offset } of rows) {
      yield { at, what: 'stood', columns: this.#diff(undefined, values) };
      if (!this.#isKeyed) continue;
      this.#row = values;
      this.#place = { partition, offset };
    }
  }

  *take(change: RowChange): Generator<RowEvent> {
    yield* this.#between(change.partition, change.offset);
    if (!this.#isKeyed) {
      yield* this.#takeKeyless(change);
      return;
    }
    const { op, values, unavailable, partition, offset } = change;
    const before = this.#row;
    if (op === 't') {
      if (before === undefined || this.#place?.partition !== partition) return;
      this.#row = undefined;
      yield this.#event('truncated', change, this.#diff(before, undefined));
      return;
    }
    this.#place = { partition, offset };
    if (op === 'd') {
      this.#row = undefined;
      yield this.#event('deleted', change, this.#diff(before ?? values, undefined));
      return;
    }
    const left = unavailable.map((name) => [name, before?.[name] ?? null] as const);
    const after = { ...values, ...Object.fromEntries(left) };
    this.#row = after;
    const what = op === 'c' ? 'created' : op === 'r' ? 'copied' : 'changed';
    yield this.#event(what, change, this.#diff(before, after));
  }

  /** After the last change. */
  *end(): Generator<RowEvent> {
    yield* this.#ofRemoved();
    yield* this.#between(this.#place?.partition ?? 0, Number.POSITIVE_INFINITY);
  }

  *#takeKeyless(change: RowChange): Generator<RowEvent> {
    const { op, values, partition, offset } = change;
    this.#place = { partition, offset };
    const removed = this.#removed;
    if (removed !== undefined && op !== 'd' && removed.offset === offset) {
      this.#removed = undefined;
      yield this.#event('changed', change, this.#diff(removed.values, values));
      return;
    }
    yield* this.#ofRemoved();
    if (op === 'd') this.#removed = change;
    else if (op === 't') yield this.#event('truncated', change, []);
    else
      yield this.#event(op === 'r' ? 'copied' : 'created', change, this.#diff(undefined, values));
  }

  *#ofRemoved(): Generator<RowEvent> {
    const removed = this.#removed;
    this.#removed = undefined;
    if (removed !== undefined)
      yield this.#event('deleted', removed, this.#diff(removed.values, undefined));
  }

  /** What else happened before an offset. */
  *#between(partition: number, offset: number): Generator<RowEvent> {
    for (let gap = this.#gaps[0]; gap !== undefined && gap.from < offset; gap = this.#gaps[0]) {
      this.#gaps.shift();
      if (gap.partition !== partition) continue;
      const records = gap.to - gap.from;
      yield { at: new Date(gap.atMs).toISOString(), what: 'gap', records, columns: [] };
    }
    for (
      let next = this.#resets[0];
      next !== undefined && next.at < offset;
      next = this.#resets[0]
    ) {
      this.#resets.shift();
      const isOfRow = this.#place?.partition === next.partition && next.partition === partition;
      if (!isOfRow || this.#row === undefined || (this.#place?.offset ?? 0) >= next.offset)
        continue;
      const columns = this.#diff(this.#row, undefined);
      this.#row = undefined;
      yield { at: new Date(next.timeMs).toISOString(), what: 'lost', columns };
    }
  }

  #event(
    what: 'created' | 'changed' | 'deleted' | 'truncated' | 'copied',
    { at, transaction, lsn, partition, offset, said }: RowChange,
    columns: readonly ColumnChange[],
  ): RowEvent {
    const { actor = null, ...facts } = said ?? {};
    return { at, what, transaction, lsn, partition, offset, actor, facts, columns };
  }

  #diff(before: Values | undefined, after: Values | undefined): readonly ColumnChange[] {
    return this.#names.flatMap((name): readonly ColumnChange[] => {
      const [old, now] = [before?.[name] ?? null, after?.[name] ?? null];
      if (before !== undefined && after !== undefined)
        return isSame(old, now) ? [] : [{ name, old, new: now }];
      if (before !== undefined) return old === null ? [] : [{ name, old }];
      return now === null ? [] : [{ name, new: now }];
    });
  }
}

function isSame(a: SqlValue, b: SqlValue): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
