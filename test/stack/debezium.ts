import { DebeziumConnector } from '../../src/adapters/connect/connector.ts';
import type { KafkaAccess } from '../../src/adapters/connect/options.ts';
import { PostgresSource } from '../../src/adapters/postgres/source.ts';
import { readConnectorConfig } from '../../src/capture/connector-config.ts';
import { topicName } from '../../src/capture/relation-registry.ts';
import type { ConnectorState, ConnectorStatus } from '../../src/domain/status.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Connector } from '../../src/ports/connector.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import type { TemporaryPostgres } from '../postgres.ts';
import type { TemporaryConnect } from './servers/connect.ts';
import type { TemporaryKafka } from './servers/kafka.ts';

const LOOK_EVERY_MS = 50;

export type Servers = Readonly<{
  postgres: TemporaryPostgres;
  kafka: TemporaryKafka;
  connect: TemporaryConnect;
  log: EventLog;
}>;

/**
 * A connector that runs on Connect, and is watched until `stop`, which throws what watching threw.
 * Its disposal takes it from Connect, and its slot from the server.
 */
export type Watched = AsyncDisposable &
  Readonly<{
    connector: DebeziumConnector;
    until(
      state: ConnectorState,
      isSo?: (status: ConnectorStatus) => boolean,
    ): Promise<ConnectorStatus>;
    /** Settles when watching has ended. */
    ended: Promise<void>;
    stop(): Promise<void>;
  }>;

export type HowToRun = Readonly<{
  adoptSlot?: boolean;
  partitions?: number;
  url?: string;
  name?: string;
  /** For the worker; the plain listener without it. */
  access?: KafkaAccess;
}>;

export async function watching(
  { postgres, kafka, connect, log }: Servers,
  options: Readonly<Record<string, string>>,
  { adoptSlot = false, partitions = 1, url = connect.url, name, access = kafka }: HowToRun = {},
): Promise<Watched> {
  const given = {
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'plugin.name': 'pgoutput',
    'database.hostname': postgres.host,
    'database.port': String(postgres.port),
    'database.user': postgres.user,
    'database.password': postgres.password,
    'database.dbname': postgres.database,
    'publication.autocreate.mode': 'filtered',
    'decimal.handling.mode': 'string',
    'time.precision.mode': 'isostring',
    'skipped.operations': 'none',
    ...options,
  };
  const env = { POSTGRES_PASSWORD: postgres.password };
  const config = readConnectorConfig(given, env, 'debezium');
  const source = await PostgresSource.open(postgres);
  const { topicPrefix } = config;
  const connector = new DebeziumConnector({
    url,
    name: name ?? topicPrefix,
    options: given,
    topicPrefix,
    slot: config.slot,
    publication: config.publication,
    source,
    log,
    tables: async () =>
      (await source.tables())
        .filter((table) => config.tables.matches(table.schema, table.name))
        .map(({ schema, name: table, estimatedRows }) => ({
          schema,
          name: table,
          topic: topicName(topicPrefix, schema, table),
          estimatedRows,
        })),
    partitionsOf: () => partitions,
    kafka: access,
    adoptSlot,
    clock: systemClock,
    random: Math.random,
  });
  const stopping = new AbortController();
  const ended = connector.run(stopping.signal);
  // Who waits for the end is told; others see it by the status.
  ended.catch(() => undefined);
  const close = async (): Promise<void> => {
    stopping.abort();
    await ended.catch(() => undefined);
    await source[Symbol.asyncDispose]();
  };
  return {
    connector,
    until: (state, isSo) => untilStatus(connector, state, isSo),
    ended,
    stop: async () => {
      await close();
      await ended;
    },
    [Symbol.asyncDispose]: async () => {
      await connector.remove(AbortSignal.timeout(30_000)).catch(() => undefined); // no Connect
      await close();
      await dropSlot(postgres, config.slot);
    },
  };
}

/** The server has room for a few. One that is read from is left to who reads it. */
async function dropSlot(postgres: TemporaryPostgres, name: string): Promise<void> {
  await using source = await PostgresSource.open(postgres);
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    const slot = await source.slot(name);
    if (slot === undefined || Date.now() > deadlineMs) return;
    if (!slot.active) return await source.dropSlot(name);
    await systemClock.sleep(LOOK_EVERY_MS, new AbortController().signal);
  }
}

/** Fails when the connector does, or when it takes too long. */
async function untilStatus(
  connector: Connector,
  state: ConnectorState,
  isSo: (status: ConnectorStatus) => boolean = () => true,
): Promise<ConnectorStatus> {
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    const status = connector.status();
    if (status.state === state && isSo(status)) return status;
    if (status.state === 'failed' || Date.now() > deadlineMs)
      throw new Error(`expected ${state}, found ${JSON.stringify(status)}`);
    await systemClock.sleep(LOOK_EVERY_MS, new AbortController().signal);
  }
}
