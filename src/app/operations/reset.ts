import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { EmbeddedPostgres } from '../../adapters/postgres/embedded.ts';
import { PostgresSource } from '../../adapters/postgres/source.ts';
import type { ConnectorConfig } from '../../capture/connector-config.ts';
import { captureProducer } from '../../capture/native-connector.ts';
import { MillraceError } from '../../domain/errors.ts';
import { formatPosition } from '../../domain/position.ts';
import { Bell } from '../../lib/bell.ts';
import { must } from '../../lib/must.ts';
import { connectionOf, openLog } from '../compose.ts';
import { type Config, readConfig } from '../config/config.ts';
import { DataDirectory, FORMAT_FILE, placesIn } from '../config/data-directory.ts';
import type { ResetOptions } from '../roles/launch.ts';
import { StatusBoard } from '../status/status-board.ts';
import { engineOf, openConnector } from '../open-connector.ts';
import { connectorFileOf, loadPipeline, readConnector } from '../config/load-pipeline.ts';

/**
 * Removes the data directory: embedded log, store and PostgreSQL, logs; and, where asked, what was
 * created on a PostgreSQL of the user's own. Throws `data_dir_locked` while anything runs on it.
 *
 * A log in Kafka stays, and is told that nothing is captured yet: with the slot gone, the next
 * start copies the tables again.
 */
export async function resetData(
  { dataDir, source }: ResetOptions,
  signal: AbortSignal,
): Promise<void> {
  using held = await DataDirectory.openToRemove(dataDir);
  signal.throwIfAborted();
  // First what may fail: the slot's name is of no use to anybody once the log is gone.
  if (source !== undefined) await dropFromSource(dataDir, source, signal);
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
  signal: AbortSignal,
): Promise<void> {
  const config = readConfig(env, { dataDir });
  // The embedded server goes with its data.
  if (config.source.kind === 'embedded') return;
  const pipeline = await loadPipeline(pipelineDir, env);
  const file = connectorFileOf(pipeline, pipelineDir);
  const connector = readConnector(file, env, config.source.server, config.connector.kind);
  const connection = connectionOf(connector, config.source);
  if (config.log.kind === 'kafka') await refuseWhileCapturing(config);
  if (config.connector.kind === 'debezium')
    await removeFromConnect(config, connector, connection, signal);
  await using server = await PostgresSource.open(connection);
  await server.dropSlot(connector.slot).catch((error: unknown) => {
    // Gone is what is wanted.
    if (!(error instanceof MillraceError && error.code === 'slot_missing')) throw error;
  });
  const [statement] = await server.query(
    `SELECT format('DROP PUBLICATION IF EXISTS %I', $1::text) AS sql`,
    [connector.publication],
  );
  await server.query(must(statement?.['sql'], 'format() gives text for text'));
  if (config.log.kind === 'kafka') await forgetPosition(config, connector, server);
}

/** A capture that lives would bring back what is removed. */
async function refuseWhileCapturing(config: Config): Promise<void> {
  await using log = await openLog(config, Bell.memory());
  const statuses = new StatusBoard(log);
  await statuses.load();
  const capturing = statuses.workers.filter(({ component }) => component === 'connector');
  if (capturing.length === 0) return;
  throw new MillraceError('usage', {
    expected: 'no capture that runs, or was heard of in the last 15 s',
    found: capturing.map(({ worker }) => worker).join(', '),
  });
}

/** There it runs though no process of ours does, and reads the slot. */
async function removeFromConnect(
  config: Config,
  connector: ConnectorConfig,
  connection: ConnectionFacts,
  signal: AbortSignal,
): Promise<void> {
  const { DebeziumConnector } = await import('../../adapters/connect/connector.ts');
  await using log = await openLog(config, Bell.memory());
  await using opened = await openConnector({
    log,
    config: connector,
    connection,
    partitions: {},
    adoptSlot: false,
    engine: engineOf(config),
  });
  if (opened.connector instanceof DebeziumConnector) await opened.connector.remove(signal);
}

/** As before the slot's creation: with a position and no slot, capture would refuse to start. */
async function forgetPosition(
  config: Config,
  { name, slot }: ConnectorConfig,
  server: PostgresSource,
): Promise<void> {
  await using log = await openLog(config, Bell.memory());
  if ((await log.positionOf(captureProducer(name))) === undefined) return;
  const { systemId, timeline } = await server.identify();
  const producer = await log.openProducer(captureProducer(name));
  try {
    await producer.append([], formatPosition({ systemId, timeline, slot, end: undefined }));
  } finally {
    await producer.close();
  }
}
