import type { Lake } from './lake.ts';
import type { LakeTable, Manifest } from './manifest.ts';

/** Changes one table; false when `change` gives nothing. What is in `removed` is deleted a while later. */
export async function commitTable(
  lake: Lake,
  topic: string,
  removed: readonly string[],
  change: (table: LakeTable, removed: string[]) => LakeTable | undefined,
): Promise<boolean> {
  let isDone = false;
  await lake.commit((manifest): Manifest => {
    const table = manifest.tables[topic];
    const gone = [...removed];
    const changed = table && change(table, gone);
    isDone = changed !== undefined;
    if (changed === undefined) return manifest;
    const atMs = Date.now();
    return {
      ...manifest,
      tables: { ...manifest.tables, [topic]: changed },
      removed: [...manifest.removed, ...gone.map((path) => ({ path, atMs }))],
    };
  });
  return isDone;
}
