import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { checkSource as checkServer } from '../../adapters/postgres/doctor.ts';
import type { Check } from '../../adapters/postgres/doctor-check.ts';
import type { ConnectorConfig } from '../../capture/connector-config.ts';
import { MillraceError } from '../../domain/errors.ts';
import { connectionOf } from '../compose.ts';
import { readConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { embeddedServer } from './generate.ts';
import { connectorFileOf, loadPipeline, readConnector } from '../config/load-pipeline.ts';

/** One thing that capture needs of its source. */
export type SourceCheck = Readonly<{
  name: string;
  ok: boolean;
  expected: string;
  found: string;
  /** SQL, or an instruction; empty where nothing is wrong. */
  mend: readonly string[];
}>;

/** Checks the user's server, or the embedded one while it runs. Changes nothing. */
export async function* checkSource(
  place: Readonly<{ dataDir: string; pipelineDir: string; env: Environment }>,
  signal: AbortSignal,
): AsyncGenerator<SourceCheck, void> {
  const config = readConfig(place.env, { dataDir: place.dataDir });
  const pipeline = await loadPipeline(place.pipelineDir, place.env);
  const server =
    config.source.kind === 'server'
      ? config.source.server
      : await embeddedServer(place.dataDir, signal);
  const file = connectorFileOf(pipeline, place.pipelineDir);
  const connector = readConnector(file, place.env, server, config.connector.kind);
  yield* await checksFor(connectionOf(connector, config.source), connector);
}

/** As `checkSource`, of a connector that no pipeline need have yet. */
export async function checksFor(
  connection: ConnectionFacts,
  connector: ConnectorConfig,
): Promise<readonly SourceCheck[]> {
  const checks = await checkServer(connection, connector);
  return checks.map(({ name, ok, expected, found, fix }) => ({
    name,
    ok: ok !== false,
    expected,
    found,
    mend: ok === true || fix === undefined ? [] : [fix],
  }));
}

/**
 * Throws `source_not_ready` that lists all that is missing, as found. With `waitForServer`, a
 * server that is away passes: the connector waits for it.
 */
export async function refuseUnready(
  connection: ConnectionFacts,
  connector: ConnectorConfig,
  { waitForServer }: Readonly<{ waitForServer: boolean }>,
): Promise<void> {
  const missing = (await checksOf(connection, connector, waitForServer)).filter(
    ({ ok }) => ok === false,
  );
  if (missing.length > 0)
    throw new MillraceError('source_not_ready', { missing: missing.map(describe) });
}

async function checksOf(
  connection: ConnectionFacts,
  connector: ConnectorConfig,
  waitForServer: boolean,
): Promise<readonly Check[]> {
  try {
    return await checkServer(connection, connector);
  } catch (error) {
    const isAway = error instanceof MillraceError && error.code === 'source_unreachable';
    if (isAway && waitForServer) return [];
    throw error;
  }
}

function describe({ name, expected, found, fix }: Check): string {
  return `${name}: expected ${expected}, found ${found}${fix === undefined ? '' : `; ${fix}`}`;
}
