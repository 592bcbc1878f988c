import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedPostgres } from '../adapters/postgres/embedded.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import { MillraceError } from '../domain/errors.ts';
import { must } from '../lib/must.ts';
import { connectionOf } from './compose.ts';
import { readConfig } from './config.ts';
import { DataDirectory, FORMAT_FILE, placesIn } from './data-directory.ts';
import type { ResetOptions } from './launch.ts';
import { connectorFileOf, loadPipeline, readConnector } from './load-pipeline.ts';

/**
 * Removes all data: log, store, embedded PostgreSQL, logs; and, where asked, what was created on
 * a server of the user's own. Throws `data_dir_locked` while anything runs on it.
 */
export async function resetData(
  { dataDir, source }: ResetOptions,
  signal: AbortSignal,
): Promise<void> {
  using held = await DataDirectory.openToRemove(dataDir);
  signal.throwIfAborted();
  // First what may fail: the slot's name is of no use to anybody once the log is gone.
  if (source !== undefined) await dropFromSource(dataDir, source);
  if (held === undefined) return;
  await EmbeddedPostgres.removeData(placesIn(dataDir).postgres);
  await removeFolder(dataDir);
}

/** A folder that must stay, such as the place where a volume is mounted, is left empty. */
async function removeFolder(dir: string): Promise<void> {
  // What says that the folder is ours goes last: a reset that is cut short can be run again.
  const names = (await readdir(dir)).toSorted(
    (a, b) => Number(a === FORMAT_FILE) - Number(b === FORMAT_FILE),
  );
  for (const name of names) await rm(join(dir, name), { recursive: true, force: true });
  try {
    await rmdir(dir);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EBUSY', 'EACCES', 'EPERM'].includes(code)) throw error;
  }
}

async function dropFromSource(
  dataDir: string,
  { pipelineDir, env }: NonNullable<ResetOptions['source']>,
): Promise<void> {
  const config = readConfig(env, { dataDir });
  // The embedded server goes with its data.
  if (config.source.kind === 'embedded') return;
  const pipeline = await loadPipeline(pipelineDir);
  const file = connectorFileOf(pipeline, pipelineDir);
  const connector = readConnector(file, env, config.source.server);
  await using server = await PostgresSource.open(connectionOf(connector, config.source));
  await server.dropSlot(connector.slot).catch((error: unknown) => {
    // Gone is what is wanted.
    if (!(error instanceof MillraceError && error.code === 'slot_missing')) throw error;
  });
  const [statement] = await server.query(
    `SELECT format('DROP PUBLICATION IF EXISTS %I', $1::text) AS sql`,
    [connector.publication],
  );
  await server.query(must(statement?.['sql'], 'format() gives text for text'));
}
