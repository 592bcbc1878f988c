import { MillraceError } from '../../../domain/errors.ts';
import type { SqlEngine } from '../../../ports/sql-engine.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { ValueModes } from '../column-type.ts';
import type { Lake } from '../lake.ts';
import type { LakeColumn, LakeSchema } from '../manifest.ts';
import { discardFiles, namesIn, writeChangeFiles, type WrittenChanges } from './change-files.ts';
import {
  changesSql,
  type ChangeQuery,
  columnSetsSql,
  copyMarksSql,
  jsonTypesSql,
  MESSAGE_COLUMNS,
  messagesSql,
  NAME_TWICE,
  OTHER_COLUMNS,
} from './change-sql.ts';
import type { EventFile } from './event-file.ts';
import { areSame, inferredType, isOf, isOfOrder, isTodayOf, lakeColumns } from './lake-columns.ts';
import { problemOf } from './unreadable-records.ts';
import { type EventSample, isUnexpected } from './event-sample.ts';
import type { SourceTable } from './source-table.ts';
import type { TableDraft } from './table-draft.ts';

export type TableWriterOptions = Readonly<{
  lake: Lake;
  engine: SqlEngine;
  clock: Clock;
  modes: ValueModes;
  /** For files while they are written. */
  dir: string;
  describe: (topic: string) => Promise<SourceTable | undefined>;
}>;

/** A value of a type that the catalogue has confirmed may be asked about again after so long. */
const CONFIRMED_MS = 300_000;

/** Writes the events of one topic, and knows which columns they have. */
export class TableWriter {
  readonly #options: TableWriterOptions;
  readonly #topic: string;
  readonly #isMessages: boolean;
  #isDescribed = false;
  /** By column, when the catalogue last said that its type is as the lake has it. */
  readonly #confirmedMs = new Map<string, number>();

  constructor(topic: string, isMessages: boolean, options: TableWriterOptions) {
    this.#topic = topic;
    this.#isMessages = isMessages;
    this.#options = options;
  }

  /**
   * Writes the events as files that the draft then names. When it fails, the draft is as before,
   * and nothing is left.
   */
  async append(
    draft: TableDraft,
    file: EventFile,
    sample: EventSample | undefined,
    signal: AbortSignal,
  ): Promise<WrittenChanges> {
    const plan = new Plan(draft);
    const written = this.#isMessages
      ? await this.#appendMessages(plan, file, signal)
      : await this.#appendChanges(plan, file, sample, signal);
    if (written.copied > 0) plan.marks.push(...(await this.#marksIn(file, signal)));
    plan.apply(draft, written);
    return written;
  }

  /** Gives a table that had no events yet its columns, where the catalogue can be asked. */
  async introduce(draft: TableDraft): Promise<void> {
    if (this.#isMessages || this.#isDescribed) return;
    const source = await this.#describe(true);
    if (source === undefined) return;
    const plan = new Plan(draft);
    const names = source.columns.map(({ name }) => name);
    const columns = lakeColumns(names, { source, before: [], inferred: new Map() });
    plan.schema = source.schema;
    plan.name = source.name;
    plan.setKey(source.key, plan.add(columns));
    plan.apply(draft);
  }

  async #appendMessages(plan: Plan, file: EventFile, signal: AbortSignal): Promise<WrittenChanges> {
    plan.schema = '';
    plan.name = 'message';
    if (plan.schemas.length === 0) plan.schemas = [{ id: 0, columns: MESSAGE_COLUMNS }];
    return this.#write(messagesSql(file, this.#options.modes), 0, signal);
  }

  async #appendChanges(
    plan: Plan,
    file: EventFile,
    sample: EventSample | undefined,
    signal: AbortSignal,
  ): Promise<WrittenChanges> {
    if (sample !== undefined) {
      plan.schema = sample.schema;
      plan.name = sample.table;
    }
    const names = sample?.names ?? plan.last?.columns.map(({ source }) => source) ?? [];
    const schema = await this.#schemaFor(plan, names, file, sample, signal);
    plan.setKey(sample?.key, schema);
    try {
      return await this.#writeFitting(plan, { file, names, only: 'all' }, schema, signal);
    } catch (error) {
      if (!problemOf(error)?.includes(OTHER_COLUMNS)) throw error;
      return this.#appendEach(plan, file, signal);
    }
  }

  /** Of rows with different columns, those of each set. */
  async #appendEach(plan: Plan, file: EventFile, signal: AbortSignal): Promise<WrittenChanges> {
    const { engine } = this.#options;
    const { rows } = await engine.query(columnSetsSql(file), [], signal);
    const parts: WrittenChanges[] = [];
    try {
      for (const [set] of rows) {
        const names = set as readonly string[];
        if (new Set(names).size < names.length)
          throw new MillraceError('sql_failed', { problem: NAME_TWICE });
        const schema = await this.#schemaFor(plan, names, file, undefined, signal);
        const only = parts.length === 0 ? 'these and none' : 'these';
        parts.push(await this.#writeFitting(plan, { file, names, only }, schema, signal));
      }
    } catch (error) {
      for (const { files } of parts) await discardFiles(this.#options.lake, files);
      throw error;
    }
    return {
      files: parts.flatMap(({ files }) => files),
      rows: parts.reduce((sum, { rows: more }) => sum + more, 0),
      unfit: parts.reduce((sum, { unfit }) => sum + unfit, 0),
      copied: parts.reduce((sum, { copied }) => sum + copied, 0),
      truncates: parts.flatMap(({ truncates }) => truncates),
    };
  }

  /** Where values don't fit their columns, the columns' types may have changed: then they are written again. */
  async #writeFitting(
    plan: Plan,
    query: Pick<ChangeQuery, 'file' | 'names' | 'only'>,
    schema: LakeSchema,
    signal: AbortSignal,
  ): Promise<WrittenChanges> {
    const { modes, lake } = this.#options;
    const isKeyless = plan.key.length === 0;
    const sql = ({ columns }: LakeSchema): string =>
      changesSql({ ...query, columns, modes, isKeyless });
    const written = await this.#write(sql(schema), schema.id, signal);
    if (written.unfit === 0) return written;
    try {
      const changed = await this.#schemaOfUnfit(plan, query.names, schema, written, signal);
      if (changed === undefined) return written;
      const rewritten = await this.#write(sql(changed), changed.id, signal);
      await discardFiles(lake, written.files);
      return rewritten;
    } catch (error) {
      await discardFiles(lake, written.files);
      throw error;
    }
  }

  #write(select: string, schema: number, signal: AbortSignal): Promise<WrittenChanges> {
    const { lake, engine, dir } = this.#options;
    return writeChangeFiles(lake, engine, { select, topic: this.#topic, schema, dir }, signal);
  }

  /** The schema of events with these columns: the last, today's, or one of before. */
  async #schemaFor(
    plan: Plan,
    names: readonly string[],
    file: EventFile,
    sample: EventSample | undefined,
    signal: AbortSignal,
  ): Promise<LakeSchema> {
    const { last } = plan;
    const isLast = last !== undefined && isOf(last, names);
    const isDoubtful = isLast && sample !== undefined && this.#isDoubtful(last, sample);
    const order = JSON.stringify(names);
    // Of a table whose names were swapped, events have the same names in another order.
    const isReordered = isLast && isNumbered(last) && !isOfOrder(last, names);
    const isSwapped = isReordered && !this.#isConfirmed(order);
    if (isLast && this.#isDescribed && !isDoubtful && !isSwapped)
      return isReordered ? plan.inOrder(names, last) : last;
    const source = await this.#describe(isLast);
    for (const { name, isFilled } of source?.columns ?? []) if (isFilled) plan.filled.add(name);
    const isToday = source !== undefined && isTodayOf(source, names);
    if (isSwapped && source !== undefined) this.#confirm(order);
    const isSameTable = plan.isOf(source);
    const isOther = isReordered && !isToday && isSameTable;
    if (isLast && !isOther) {
      if (!isToday) return isReordered ? plan.inOrder(names, last) : last;
      const columns = lakeColumns(names, { source, before: plan.columns, inferred: new Map() });
      if (!areSame(last.columns, columns)) return this.#retype(plan, columns);
      return isNumbered(last) ? last : plan.number(last, columns);
    }
    const known = isToday ? undefined : plan.find(names, isSameTable);
    if (known !== undefined) return known;
    const inferred = await this.#infer(plan, names, source, file, signal);
    const added = plan.add(
      lakeColumns(names, { source, before: plan.columns, inferred, isSameTable }),
    );
    // Events of before have come after it was introduced: what it has today stays the last.
    if (last !== undefined && source !== undefined && isOf(last, source.columns.map(nameOf)))
      plan.add(last.columns);
    return added;
  }

  /** With a schema at hand, a source that is away is no reason to wait. */
  async #describe(isOptional: boolean): Promise<SourceTable | undefined> {
    try {
      const source = await this.#options.describe(this.#topic);
      this.#isDescribed = true;
      return source;
    } catch (error) {
      if (!isOptional) throw error;
      return undefined;
    }
  }

  #isDoubtful(schema: LakeSchema, sample: EventSample): boolean {
    const doubted = schema.columns.filter(
      (column) =>
        isUnexpected(column, sample.values.get(column.source)) && !this.#isConfirmed(column.source),
    );
    for (const { source } of doubted) this.#confirm(source);
    return doubted.length > 0;
  }

  async #schemaOfUnfit(
    plan: Plan,
    names: readonly string[],
    schema: LakeSchema,
    { files }: WrittenChanges,
    signal: AbortSignal,
  ): Promise<LakeSchema | undefined> {
    const unfit = await this.#unfitColumns(files, signal);
    const open = schema.columns.filter(
      ({ name, source }) => unfit.has(name) && !this.#isConfirmed(source),
    );
    if (open.length === 0) return undefined;
    const source = await this.#describe(true);
    for (const column of open) this.#confirm(column.source);
    if (source === undefined || !isTodayOf(source, names)) return undefined;
    const columns = lakeColumns(names, { source, before: plan.columns, inferred: new Map() });
    return areSame(schema.columns, columns) ? undefined : this.#retype(plan, columns);
  }

  /** What was confirmed was the types of before: they may change again at once. */
  #retype(plan: Plan, columns: readonly LakeColumn[]): LakeSchema {
    this.#confirmedMs.clear();
    return plan.add(columns);
  }

  async #unfitColumns(
    files: WrittenChanges['files'],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    const { engine, lake } = this.#options;
    const names: string[] = [];
    for (const { path } of files)
      names.push(...(await namesIn(engine, lake.path(path), '__unfit', signal)));
    return new Set(names);
  }

  async #infer(
    plan: Plan,
    names: readonly string[],
    source: SourceTable | undefined,
    file: EventFile,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const known = new Set([
      ...(source?.columns ?? []).map(({ name }) => name),
      ...plan.columns.map((column) => column.source),
    ]);
    const inferred = new Map<string, string>();
    for (const name of names) {
      if (known.has(name)) continue;
      const { rows } = await this.#options.engine.query(jsonTypesSql(file, name), [], signal);
      inferred.set(name, inferredType(rows.flat()));
    }
    return inferred;
  }

  async #marksIn(file: EventFile, signal: AbortSignal): Promise<TableDraft['marks']> {
    const { rows } = await this.#options.engine.query(copyMarksSql(file), [], signal);
    return rows.map(([partition, offset, mark, timeMs]) => ({
      partition: Number(partition),
      offset: Number(offset),
      isFirst: mark === 'first' || mark === 'first_in_data_collection',
      timeMs: Number(timeMs),
    }));
  }

  #isConfirmed(column: string): boolean {
    const atMs = this.#confirmedMs.get(column);
    return atMs !== undefined && this.#options.clock.nowMs() - atMs < CONFIRMED_MS;
  }

  #confirm(column: string): void {
    this.#confirmedMs.set(column, this.#options.clock.nowMs());
  }
}

function isNumbered({ columns }: LakeSchema): boolean {
  return columns.some(({ number }) => number !== undefined);
}

function nameOf({ name }: Readonly<{ name: string }>): string {
  return name;
}

/** What becomes of a draft when all of an append has worked. */
class Plan {
  schema: string;
  name: string;
  key: readonly string[];
  schemas: readonly LakeSchema[];
  readonly marks: TableDraft['marks'] = [];
  readonly filled = new Set<string>();
  /** The OID of the table whose rows came last; undefined: unknown. */
  readonly #table: number | undefined;

  constructor(draft: TableDraft) {
    const { schema, name, key, schemas } = draft;
    this.schema = schema;
    this.name = name;
    this.key = key;
    this.schemas = schemas;
    this.#table = draft.table;
  }

  get last(): LakeSchema | undefined {
    return this.schemas.at(-1);
  }

  /** Every column that the table ever had, the newest first. */
  get columns(): readonly LakeColumn[] {
    const bySource = new Map<string, LakeColumn>();
    for (const { columns } of this.schemas.toReversed())
      for (const column of columns)
        if (!bySource.has(column.source)) bySource.set(column.source, column);
    return [...bySource.values()];
  }

  add(columns: readonly LakeColumn[]): LakeSchema {
    const schema = { id: this.schemas.length, columns };
    this.schemas = [...this.schemas, schema];
    return schema;
  }

  /** Whether the events to write are of the very table that the catalogue tells, under whatever names. */
  isOf(source: SourceTable | undefined): boolean {
    const today = source?.columns.find(({ number }) => number !== undefined)?.number;
    return today !== undefined && today.table === this.#table;
  }

  /** A schema of before that has these columns, where names may have been swapped in this order. */
  find(names: readonly string[], isInOrder: boolean): LakeSchema | undefined {
    const has = isInOrder ? isOfOrder : isOf;
    return this.schemas.find((schema) => has(schema, names));
  }

  /** The newest schema whose columns come in this order. */
  inOrder(names: readonly string[], otherwise: LakeSchema): LakeSchema {
    return this.schemas.findLast((schema) => isOfOrder(schema, names)) ?? otherwise;
  }

  /** The schema, known by the numbers of its columns too. */
  number(schema: LakeSchema, columns: readonly LakeColumn[]): LakeSchema {
    const numbers = new Map(columns.map(({ source, number }) => [source, number]));
    const numbered = {
      ...schema,
      columns: schema.columns.map((column) => {
        const number = numbers.get(column.source);
        return { ...column, ...(number !== undefined && { number }) };
      }),
    };
    this.schemas = this.schemas.map((each) => (each.id === schema.id ? numbered : each));
    return numbered;
  }

  /** `key`: names in the events; undefined when no event told. */
  setKey(key: readonly string[] | undefined, { columns }: LakeSchema): void {
    if (key === undefined) return;
    this.key = key.flatMap((name) => columns.find((column) => column.source === name)?.name ?? []);
  }

  apply(draft: TableDraft, written?: WrittenChanges): void {
    draft.schema = this.schema;
    draft.name = this.name;
    draft.key = this.key;
    draft.schemas = this.schemas;
    draft.changes.push(...(written?.files ?? []));
    draft.marks.push(...this.marks);
    for (const name of this.filled) draft.filled.add(name);
    for (const { partition, offset, timeMs } of written?.truncates ?? [])
      draft.resets.push({ partition, offset, at: offset, timeMs, cause: 'truncate' });
  }
}
