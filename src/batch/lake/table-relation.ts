import type { FileRelation } from '../../ports/warehouse.ts';
import type { LakeOffsets } from './manifest.ts';

/** A table of the lake as SQL can read it, on every engine: named files, and a SELECT over them. */
export type TableRelation = Readonly<{
  relations: readonly FileRelation[];
  sql: string;
  /** What the SELECT gives. */
  columns: FileRelation['columns'];
}>;

/** Up to where a state is wanted; nothing: all that the lake holds. */
export type UpTo = Readonly<{ timeMs: number }> | Readonly<{ offsets: LakeOffsets }>;
