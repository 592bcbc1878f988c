import { MillraceError } from '../domain/errors.ts';
import type { CopyTask } from '../domain/position.ts';
import type { CopyStream, Snapshot, Table } from '../ports/change-source.ts';
import type { ChangeEncoder } from './change-encoder.ts';
import type { EnvelopeEncoder, Origin } from './envelope-encoder.ts';
import type { LogAppender } from './log-appender.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { RelationRegistry } from './relation-registry.ts';

const NEWLINE = 0x0a;

/**
 * Debezium's marks: a row is `last` only when no row of any table follows, and `first` in the first table
 * alone, which then goes before `last_in_data_collection`.
 */
const MARKS = [
  'first',
  'first_in_data_collection',
  'true',
  'last_in_data_collection',
  'last',
] as const;
type Mark = (typeof MARKS)[number];

/** The last row of a chunk, held back until it is known whether another follows. */
type HeldRow = Readonly<{
  task: CopyTask;
  encoder: EnvelopeEncoder;
  table: Table;
  bytes: Buffer;
  /** Its mark if another row of its table follows. */
  mark: Mark;
}>;

/** The mark of a row by what follows it. */
const RELEASED = {
  row: (mark: Mark): Mark => mark,
  table: (mark: Mark): Mark => (mark === 'first' ? mark : 'last_in_data_collection'),
  nothing: (): Mark => 'last',
} as const;

/**
 * Copies tables in the snapshot that a new slot exported, in key order, so that a copy that was
 * cut off can go on behind the last row that is in the log. A table that was altered or dropped since
 * cannot be read as the snapshot saw it: it is left to be copied while the stream flows.
 */
export class FirstCopy {
  readonly #encoder: ChangeEncoder;
  readonly #relations: RelationRegistry;
  readonly #appender: LogAppender;
  readonly #clock: () => number;
  readonly #progress: CopyProgress;
  readonly #origins: Readonly<Record<Mark, Origin>>;
  readonly #lsn: number;
  #held: HeldRow | undefined;
  #postponed: readonly CopyTask[] = [];

  constructor(parts: {
    encoder: ChangeEncoder;
    relations: RelationRegistry;
    appender: LogAppender;
    clock: () => number;
    /** Of the snapshot. */
    lsn: number;
    txId: number;
    progress: CopyProgress;
  }) {
    this.#encoder = parts.encoder;
    this.#relations = parts.relations;
    this.#appender = parts.appender;
    this.#clock = parts.clock;
    this.#progress = parts.progress;
    this.#lsn = parts.lsn;
    const timeUs = parts.clock() * 1000;
    const origin = (snapshot: Mark): Origin => ({
      timeUs,
      txId: parts.txId,
      previousCommit: null,
      snapshot,
    });
    this.#origins = {
      first: origin('first'),
      first_in_data_collection: origin('first_in_data_collection'),
      true: origin('true'),
      last_in_data_collection: origin('last_in_data_collection'),
      last: origin('last'),
    };
  }

  /** Copies until all is encoded but what must be copied while the stream flows; `progress` is told what that is. */
  async run(snapshot: Snapshot, tasks: readonly CopyTask[], signal: AbortSignal): Promise<void> {
    for (const [index, task] of tasks.entries()) {
      const table = await snapshot.table(task.oid);
      if (table === undefined) continue;
      const left = [task, ...tasks.slice(index + 1)] as const;
      try {
        await this.#copyTable(snapshot, table, left, index === 0, signal);
      } catch (error) {
        if (!(error instanceof MillraceError && error.code === 'table_changed')) throw error;
        this.#postponed = [...this.#postponed, task];
      }
    }
    signal.throwIfAborted(); // a copy that was cut short must not look like one that ended
    this.#encoder.clock.set(this.#clock());
    this.#release('nothing');
    this.#left([]);
  }

  #left(tasks: readonly CopyTask[]): void {
    this.#progress.left([...tasks, ...this.#postponed]);
  }

  async #copyTable(
    snapshot: Snapshot,
    table: Table,
    left: readonly [CopyTask, ...CopyTask[]],
    isFirstTable: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { relation, topic } = await this.#relations.ofCopy(table);
    const encoder = this.#encoder.copyEncoder(relation, topic);
    const columns = relation.shape.columns.map(({ name }) => name);
    const rows: CopyStream = snapshot.copy({ table, columns, orderBy: relation.keyNames }, signal);
    const [task, ...others] = left;
    let mark: Mark = isFirstTable ? 'first' : 'first_in_data_collection';
    let hasEncoded = false;
    for await (const chunk of rows) {
      this.#encoder.clock.set(this.#clock());
      const lastRow = chunk.subarray(0, -1).lastIndexOf(NEWLINE) + 1;
      if (this.#held !== undefined) {
        const isOfThis = this.#held.table === table;
        this.#release(isOfThis ? 'row' : 'table');
        hasEncoded ||= isOfThis;
      }
      let at = 0;
      let encoded = 0;
      while (at < lastRow) {
        at = this.#encoder.copiedRow(encoder, chunk, at, this.#origins[mark], this.#lsn);
        mark = 'true';
        encoded += 1;
      }
      this.#progress.rows(task, encoded);
      hasEncoded ||= encoded > 0;
      this.#held = { task, encoder, table, bytes: Buffer.from(chunk.subarray(lastRow)), mark };
      mark = 'true';
      const after = hasEncoded ? this.#encoder.lastPlace(relation) : undefined;
      this.#left([after === undefined ? task : { ...task, after }, ...others]);
      this.#appender.kick();
      await this.#appender.room();
    }
    signal.throwIfAborted();
  }

  #release(follows: keyof typeof RELEASED): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    const origin = this.#origins[RELEASED[follows](held.mark)];
    this.#encoder.copiedRow(held.encoder, held.bytes, 0, origin, this.#lsn);
    this.#progress.rows(held.task, 1);
  }
}
