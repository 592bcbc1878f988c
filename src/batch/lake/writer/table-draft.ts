import type {
  ChangeFile,
  LakeGap,
  LakeLastRead,
  LakeOffsets,
  LakeReset,
  LakeSchema,
  LakeTable,
  Manifest,
} from '../manifest.ts';
import { MillraceError } from '../../../domain/errors.ts';
import { isSameNumber, sameColumn } from '../same-column.ts';
import { holdsAll } from './lake-columns.ts';

/** What a flush adds to a table, over what the manifest had when it began. */
export class TableDraft {
  readonly topic: string;
  readonly before: LakeTable | undefined;
  schema: string;
  name: string;
  key: readonly string[];
  schemas: readonly LakeSchema[];
  offsets: Record<string, number>;
  lastRead: Record<string, LakeLastRead>;
  copying: LakeTable['copying'];
  incomplete: LakeTable['incomplete'];
  readonly changes: ChangeFile[] = [];
  readonly resets: LakeReset[] = [];
  readonly gaps: LakeGap[] = [];
  /** First and last rows of copies. */
  readonly marks: CopyMark[] = [];
  /** Names in the source of columns whose default may have been written into older rows. */
  readonly filled = new Set<string>();

  constructor(topic: string, before: LakeTable | undefined) {
    this.topic = topic;
    this.before = before;
    this.schema = before?.schema ?? '';
    this.name = before?.name ?? topic;
    this.key = before?.key ?? [];
    this.schemas = before?.schemas ?? [];
    this.offsets = { ...before?.offsets };
    this.lastRead = { ...before?.lastRead };
    this.copying = before?.copying;
    this.incomplete = before?.incomplete;
  }

  /** Whether the table is now known with other offsets, or otherwise, than before. */
  get isChanged(): boolean {
    const { before } = this;
    // Nothing is known of it, not even columns.
    if (this.schemas.length === 0) return false;
    if (before === undefined) return true;
    return (
      !haveSameOffsets(before.offsets, this.offsets) ||
      this.gaps.length > 0 ||
      before.incomplete?.cause !== this.incomplete?.cause
    );
  }

  /**
   * Nobody knows which rows were deleted in a gap: those of before it are gone, and come back as
   * the copy that was asked for brings them.
   */
  noteGaps(gaps: readonly LakeGap[]): void {
    this.gaps.push(...gaps);
    if (this.before === undefined) return;
    for (const { partition, to, atMs } of gaps)
      this.resets.push({ partition, offset: to, at: to, timeMs: atMs, cause: 'gap' });
  }

  /** What only a copy can tell; undefined: nothing. */
  get lacks(): 'key' | 'gap' | 'values' | undefined {
    if (this.#hasOtherKey) return 'key';
    if (this.#isMadeAnew) return 'gap';
    return this.#hasUntoldValues ? 'values' : undefined;
  }

  /**
   * The OID of the table whose rows came last; undefined: unknown. Once the lake has rows, or has
   * looked when there were none, what comes is of that table or of a later one.
   */
  get table(): number | undefined {
    const { before, changes, schemas } = this;
    const files = [...(before?.bases ?? []), ...(before?.changes ?? []), ...changes];
    const hasLooked = Object.keys(before?.offsets ?? {}).length > 0;
    return files.length > 0 || !hasLooked
      ? tableIn(files.map(({ schema }) => schemas[schema]))
      : tableIn(before?.schemas ?? []);
  }

  /** Whether the table was dropped and made anew: nobody tells of a drop, and the rows of before are of another one. */
  get #isMadeAnew(): boolean {
    const { before, schemas } = this;
    if (before === undefined || schemas.length === before.schemas.length) return false;
    const files = [...before.bases, ...before.changes];
    const [known, today] = [
      tableIn(files.map(({ schema }) => schemas[schema])),
      tableIn(schemas.slice(-1)),
    ];
    return known !== undefined && today !== undefined && known !== today;
  }

  /** Whether the rows of before were told apart by other columns. */
  get #hasOtherKey(): boolean {
    const { before, key } = this;
    if (before === undefined || before.changes.length + before.bases.length === 0) return false;
    const numbered = (schemas: readonly LakeSchema[], name: string) => ({
      number: schemas.at(-1)?.columns.find((column) => column.name === name)?.number,
    });
    // Names may have been swapped.
    const isOther = (name: string): boolean =>
      isSameNumber(numbered(this.schemas, name), numbered(before.schemas, name)) === false;
    return (
      key.length !== before.key.length ||
      key.some((name, at) => name !== before.key[at] || isOther(name))
    );
  }

  /**
   * Whether PostgreSQL wrote all rows anew and told nobody: for a column of another type, or for a
   * new one whose default differs by row. Rows without a key can't be fetched again one by one.
   */
  get #hasUntoldValues(): boolean {
    const { before, key, schemas, filled } = this;
    if (key.length === 0) return false;
    if (this.#hasGuessedNames) return true;
    if (before === undefined || before.changes.length + before.bases.length === 0) return false;
    const known = before.schemas.at(-1)?.columns ?? [];
    const today = schemas.length > before.schemas.length ? schemas.at(-1) : undefined;
    return (today?.columns ?? []).some((column) => {
      const held = sameColumn(known, column);
      return held === undefined ? filled.has(column.source) : !holdsAll(column.type, held.type);
    });
  }

  /**
   * Whether rows came whose columns can be told by name alone, though those of today have numbers:
   * names may have moved since, as in a lake that is written anew from an old log.
   */
  get #hasGuessedNames(): boolean {
    const { changes, schemas } = this;
    if (tableIn(schemas.slice(-1)) === undefined) return false;
    return changes.some(({ schema }) =>
      schemas[schema]?.columns.some(({ number }) => number === undefined),
    );
  }

  /**
   * Nobody knows which of the changes until now concern the same row by its new key, and PostgreSQL
   * does not tell what it filled a new column with: all of them come back as the copy that was asked
   * for brings them. So with rows of a table that is no longer there.
   */
  noteOtherRows(cause: 'key' | 'gap', timeMs: number): void {
    for (const [partition, offset] of Object.entries(this.offsets)) {
      const reset = { partition: Number(partition), offset, at: offset - 1, timeMs };
      if (offset > 0) this.resets.push({ ...reset, cause });
    }
  }

  /** Throws `lake_conflict` when another writer was here since. */
  applyTo(manifest: Manifest): LakeTable {
    const found = manifest.tables[this.topic];
    const expected = this.before?.offsets ?? {};
    if (!haveSameOffsets(expected, found?.offsets ?? {}))
      throw new MillraceError('lake_conflict', {
        topic: this.topic,
        expected,
        found: found?.offsets ?? {},
      });
    const { topic, schema, name, key, schemas, offsets, lastRead, copying, incomplete, gaps } =
      this;
    const allGaps = [...(found?.gaps ?? []), ...gaps];
    const { copying: _ended, incomplete: _completed, ...others } = found ?? {};
    return {
      ...others,
      topic,
      schema,
      name,
      key,
      schemas,
      offsets,
      lastRead,
      changes: [...(found?.changes ?? []), ...this.changes],
      bases: found?.bases ?? [],
      resets: [...(found?.resets ?? []), ...this.resets],
      ...(copying !== undefined && { copying }),
      ...(incomplete !== undefined && { incomplete }),
      ...(allGaps.length > 0 && { gaps: allGaps }),
    };
  }
}

export type CopyMark = Readonly<{
  partition: number;
  offset: number;
  isFirst: boolean;
  timeMs: number;
}>;

function tableIn(schemas: readonly (LakeSchema | undefined)[]): number | undefined {
  const numbers = schemas.flatMap((schema) => schema?.columns.map(({ number }) => number) ?? []);
  return numbers.findLast((number) => number !== undefined)?.table;
}

function haveSameOffsets(a: LakeOffsets, b: LakeOffsets): boolean {
  const partitions = Object.keys(a);
  return (
    partitions.length === Object.keys(b).length &&
    partitions.every((partition) => a[partition] === b[partition])
  );
}
