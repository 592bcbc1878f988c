import type { CopyTask } from '../domain/position.ts';

/** Told how a copy comes along, before what it has encoded may be appended. */
export type CopyProgress = Readonly<{
  /** What is left once all that is encoded is in the log: the position must say so. */
  left(tasks: readonly CopyTask[]): void;
  rows(table: CopyTask, added: number): void;
}>;
