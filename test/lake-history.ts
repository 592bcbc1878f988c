import type { LakeReset, LakeSchema } from '../src/batch/lake/manifest.ts';
import { must } from '../src/lib/must.ts';
import { schemaOf, type TestChange, type TestTable } from './lake-changes.ts';

type Values = Readonly<Record<string, string | null>>;

/** A row that stands, and where its last change does. */
type Standing = Readonly<{
  values: Values;
  schema: number;
  partition: number;
  offset: number;
}>;

/*
 * The columns that the table has in turn: `added` comes with a default, `n` changes its type, `big` is
 * dropped and another one of the same name added.
 */
const SCHEMAS: readonly LakeSchema[] = [
  schemaOf(0, { id: 'INTEGER', big: 'VARCHAR', n: 'DECIMAL(10,2)', tags: 'VARCHAR[]' }),
  schemaOf(
    1,
    { id: 'INTEGER', big: 'VARCHAR', n: 'DECIMAL(10,2)', tags: 'VARCHAR[]', added: 'VARCHAR' },
    { added: "it's" },
  ),
  schemaOf(2, { id: 'BIGINT', n: 'VARCHAR', tags: 'VARCHAR[]', added: 'VARCHAR' }),
  schemaOf(
    3,
    { id: 'BIGINT', n: 'VARCHAR', tags: 'VARCHAR[]', added: 'VARCHAR', big: 'VARCHAR', at: 'DATE' },
    { big: 'anew', at: '2026-01-31' },
  ),
];
const MINUTE_MS = 60_000;

/**
 * A table's history at random: inserts, updates, deletes, truncates, changes of keys and columns,
 * copies after losses, values left out. What its state is, is told by replaying it row by row.
 */
export class RandomHistory {
  readonly table: TestTable;
  /** In the order of the log. */
  readonly changes: TestChange[] = [];
  readonly resets: LakeReset[] = [];
  nowMs: number;
  readonly #random: () => number;
  readonly #partitions: number;
  /** The source's rows. */
  readonly #truth: { values: Record<string, string | null> }[] = [];
  readonly #next: Record<string, number> = {};
  #schema = 0;

  constructor(random: () => number, startMs: number) {
    this.#random = random;
    this.nowMs = startMs;
    this.#partitions = 1 + this.#pick(2);
    for (let each = 0; each < this.#partitions; each += 1) this.#next[each] = 0;
    this.table = {
      topic: 'shop.public.t',
      schema: 'public',
      name: 't',
      key: this.#pick(3) === 0 ? [] : ['id'],
      schemas: SCHEMAS,
    };
  }

  /** After so many changes. */
  offsetsAfter(count = this.changes.length): Record<string, number> {
    const offsets = Object.fromEntries(Object.keys(this.#next).map((each) => [each, 0]));
    for (const { partition, offset } of this.changes.slice(0, count))
      offsets[partition] = offset + 1;
    return offsets;
  }

  step(): void {
    if (this.#pick(3) === 0) this.nowMs += this.#pick(600) * MINUTE_MS;
    const what = this.#pick(100);
    if (what < 2) this.#truncate();
    else if (what < 4 && this.#schema < SCHEMAS.length - 1) this.#alter();
    else if (what < 6 && this.table.key.length > 0) this.#copyAfterLoss();
    else if (what < 45 || this.#truth.length === 0) this.#insert();
    else if (what < 80) this.#update();
    else this.#delete();
  }

  /** The rows after so many changes and some resets, in the columns of a schema, each as text; sorted. */
  stateAfter(
    count: number,
    isReset: (reset: LakeReset) => boolean,
    schema: number,
  ): readonly string[] {
    let rows: readonly Standing[] = [];
    for (const change of this.changes.slice(0, count)) rows = this.#applied(rows, change);
    for (const { partition, offset } of this.resets.filter(isReset))
      rows = rows.filter((row) => row.partition !== partition || row.offset >= offset);
    return rows
      .map((row) =>
        rowText(converted(row.values, row.schema, schema), must(SCHEMAS[schema], 'one')),
      )
      .toSorted();
  }

  #applied(rows: readonly Standing[], change: TestChange): readonly Standing[] {
    const { op, partition, offset, schema, row, unavailable = [] } = change;
    if (op === 't') return rows;
    const isSame = (other: Standing): boolean => {
      const values = converted(other.values, other.schema, schema);
      return this.table.key.length > 0
        ? values['id'] === row['id']
        : must(SCHEMAS[schema], 'one').columns.every(({ name }) => values[name] === row[name]);
    };
    // Of rows that are equal, the newest: those before a truncate are gone, though they stand here.
    const index = rows.findLastIndex(isSame);
    const before = index < 0 ? undefined : rows[index];
    const isReplaced = op === 'd' || this.table.key.length > 0;
    const others = rows.filter((_, each) => !isReplaced || each !== index);
    if (op === 'd') return others;
    const held = before && converted(before.values, before.schema, schema);
    const values = Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        unavailable.includes(name) ? (held?.[name] ?? null) : value,
      ]),
    );
    return [...others, { values, schema, partition, offset }];
  }

  #insert(): void {
    const values = this.#values();
    if (this.#truth.some((row) => this.table.key.length > 0 && row.values['id'] === values['id']))
      return;
    this.#truth.push({ values });
    this.#append('c', values);
  }

  #update(): void {
    const row = this.#any();
    const before = { ...row.values };
    const isKeyed = this.table.key.length > 0;
    Object.assign(row.values, this.#values(), this.#pick(8) > 0 && { id: before['id'] });
    const isTaken = this.#truth.some(
      (each) => each !== row && each.values['id'] === row.values['id'],
    );
    if (isKeyed && isTaken) row.values['id'] = before['id'] ?? null;
    if (!isKeyed) {
      const partition = 0;
      const offset = must(this.#next[partition], 'a partition');
      this.#append('d', before, { partition, offset });
      this.#append('c', row.values, { partition, offset });
    } else if (row.values['id'] === before['id']) {
      const isLeftOut = 'big' in before && before['big'] !== null && this.#pick(2) === 0;
      if (isLeftOut) row.values['big'] = before['big'] ?? null;
      this.#append('u', row.values, {}, isLeftOut ? ['big'] : undefined);
    } else {
      this.#append('d', before);
      this.#append('c', row.values);
    }
  }

  #delete(): void {
    const row = this.#any();
    this.#truth.splice(this.#truth.indexOf(row), 1);
    this.#append('d', row.values);
  }

  #truncate(): void {
    this.#truth.length = 0;
    for (let partition = 0; partition < this.#partitions; partition += 1) {
      const offset = must(this.#next[partition], 'a partition');
      const timeMs = this.nowMs;
      this.resets.push({ partition, offset, at: offset, timeMs, cause: 'truncate' });
      this.#append('t', {}, { partition, offset });
    }
  }

  #alter(): void {
    for (const row of this.#truth)
      row.values = converted(row.values, this.#schema, this.#schema + 1);
    this.#schema += 1;
  }

  /** Rows went unseen, so all are copied, while others change. */
  #copyAfterLoss(): void {
    const lost = this.#truth.filter(() => this.#pick(3) === 0);
    for (const row of lost) this.#truth.splice(this.#truth.indexOf(row), 1);
    const begin = { ...this.#next };
    const first = this.changes.length;
    const toCopy = [...this.#truth];
    while (toCopy.length > 0) {
      if (this.#pick(3) === 0) this.#update();
      this.nowMs += this.#pick(5) * MINUTE_MS;
      const row = must(toCopy.pop(), 'there are some');
      const changed = this.changes.slice(first).some((each) => each.row['id'] === row.values['id']);
      if (this.#truth.includes(row) && !changed) this.#append('r', row.values);
    }
    for (const [partition, offset] of Object.entries(begin))
      this.resets.push({
        partition: Number(partition),
        offset,
        at: Math.max(offset, must(this.#next[partition], 'a partition') - 1),
        timeMs: this.nowMs,
        cause: 'copy',
      });
  }

  #append(
    op: TestChange['op'],
    row: Values,
    at: Readonly<{ partition?: number; offset?: number }> = {},
    unavailable?: readonly string[],
  ): void {
    const isKeyed = this.table.key.length > 0;
    const partition = at.partition ?? (isKeyed ? Number(row['id']) % this.#partitions : 0);
    const offset = at.offset ?? must(this.#next[partition], 'a partition');
    this.#next[partition] = offset + 1;
    const told = { ...row };
    for (const name of unavailable ?? []) told[name] = null;
    // Of a deleted row the source may tell the key alone.
    if (op === 'd' && isKeyed)
      for (const name of Object.keys(told)) if (name !== 'id') told[name] = null;
    this.changes.push({
      op,
      partition,
      offset,
      timeMs: this.nowMs,
      schema: this.#schema,
      row: told,
      ...(unavailable !== undefined && { unavailable }),
    });
  }

  #values(): Record<string, string | null> {
    const isKeyed = this.table.key.length > 0;
    const all: Values = {
      id: String(this.#pick(isKeyed ? 30 : 3)),
      big: this.#pick(4) === 0 ? null : `big ${this.#pick(isKeyed ? 1000 : 2)}`,
      n: `${this.#pick(3)}.${this.#pick(2)}0`,
      tags: ['[]', '[a, b]', null][this.#pick(3)] ?? null,
      added: this.#pick(3) === 0 ? null : `a ${this.#pick(3)}`,
      at: this.#pick(2) === 0 ? null : '2026-03-01',
    };
    const { columns } = must(SCHEMAS[this.#schema], 'one');
    return Object.fromEntries(columns.map(({ name }) => [name, all[name] ?? null]));
  }

  #any(): { values: Record<string, string | null> } {
    if (this.#truth.length === 0) this.#insert();
    return must(this.#truth[this.#pick(this.#truth.length)], 'there are some');
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }
}

/** What a row is after its table's columns changed, one step after another; steps back are not taken. */
function converted(values: Values, from: number, to: number): Record<string, string | null> {
  let row = { ...values };
  for (let id = from + 1; id <= to; id += 1) {
    const before = must(SCHEMAS[id - 1], 'one').columns.map(({ name }) => name);
    row = Object.fromEntries(
      must(SCHEMAS[id], 'one').columns.map(({ name, missing }) => [
        name,
        before.includes(name) ? (row[name] ?? null) : (missing ?? null),
      ]),
    );
  }
  return row;
}

function rowText(row: Values, { columns }: LakeSchema): string {
  return JSON.stringify(columns.map(({ name }) => row[name] ?? null));
}
