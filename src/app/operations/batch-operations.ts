import { Lake } from '../../batch/lake/lake.ts';
import type { Served } from '../../batch/serving/serve-run.ts';
import { loadModels } from '../../batch/models/project.ts';
import { openEngine } from '../batch/open.ts';
import { serveReport } from '../batch/serve-report.ts';
import type { OperationContext } from './operation-context.ts';
import type { ServeArguments } from './operations.ts';

/** Enough for the rows that are served: they are a file's first. */
const MEMORY = '256MB';

export async function flushLake({
  running,
}: OperationContext): Promise<{ flushed: boolean; problem?: string }> {
  if (running?.flushLake === undefined) return { flushed: false };
  try {
    await running.flushLake();
    return { flushed: true };
  } catch (error) {
    return { flushed: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Whoever holds the store serves, so that a run in another process is served too. */
export async function serveModels(
  { report, modelsDir, lakeDir }: ServeArguments,
  { store }: OperationContext,
): Promise<Served> {
  if (store === undefined) return { keys: [], problems: [] };
  const lake = await Lake.open(lakeDir);
  const models = modelsDir === undefined ? [] : (await loadModels(modelsDir)).models;
  await using engine = await openEngine({ lake: { dir: lakeDir }, batch: { memory: MEMORY } });
  return await serveReport(report, models, { lake, engine, store });
}
