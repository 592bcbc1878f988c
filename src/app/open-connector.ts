import type { KafkaAddress } from '../adapters/kafka/address.ts';
import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import type { ConnectorConfig } from '../capture/connector-config.ts';
import { NativeConnector } from '../capture/native-connector.ts';
import { topicName } from '../capture/relation-registry.ts';
import { systemClock } from '../lib/clock.ts';
import type { Connector } from '../ports/connector.ts';
import type { EventLog } from '../ports/event-log.ts';
import { partitionsOf } from './compose.ts';
import type { Config, DebeziumEngine } from './config/config.ts';
import { CAPTURE_SCHEMAS } from './topics.ts';
import { VERSION } from './version.ts';

export type ConnectorPlace = Readonly<{
  log: EventLog;
  config: ConnectorConfig;
  connection: ConnectionFacts;
  partitions: Readonly<Record<string, number>>;
  adoptSlot: boolean;
  engine: ConnectorEngine;
}>;

export type ConnectorEngine =
  | Readonly<{ kind: 'native' }>
  /** With the Kafka that Connect writes to. */
  | (DebeziumEngine & Readonly<{ kafka: KafkaAddress }>);

/** A connector with what it holds open. */
export type OpenedConnector = AsyncDisposable & Readonly<{ connector: Connector }>;

export function engineOf({ connector, log }: Pick<Config, 'connector' | 'log'>): ConnectorEngine {
  // Debezium without Kafka is refused where the configuration is read.
  return connector.kind === 'debezium' && log.kind === 'kafka'
    ? { ...connector, kafka: log }
    : { kind: 'native' };
}

export async function openConnector(place: ConnectorPlace): Promise<OpenedConnector> {
  const source = await PostgresSource.open(place.connection);
  const connector =
    place.engine.kind === 'native'
      ? nativeConnector(place, source)
      : await debeziumConnector(place, source, place.engine);
  return { connector, [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() };
}

function nativeConnector(
  { log, config, partitions, adoptSlot }: ConnectorPlace,
  source: PostgresSource,
): Connector {
  return new NativeConnector({
    source,
    log,
    config,
    partitionsOf: partitionsOf({ partitions }),
    schemasTopic: CAPTURE_SCHEMAS,
    version: VERSION,
    adoptSlot,
    clock: Date.now,
  });
}

async function debeziumConnector(
  { log, config, partitions, adoptSlot }: ConnectorPlace,
  source: PostgresSource,
  { url, kafka, placeholders }: Extract<ConnectorEngine, { kind: 'debezium' }>,
): Promise<Connector> {
  const { DebeziumConnector } = await import('../adapters/connect/connector.ts');
  const { name, topicPrefix, slot, publication } = config;
  return new DebeziumConnector({
    url,
    name,
    options: placeholders === 'worker' ? config.unfilled : config.options,
    topicPrefix,
    slot,
    publication,
    source,
    log,
    tables: () => capturedTables(source, config),
    partitionsOf: partitionsOf({ partitions }),
    kafka,
    adoptSlot,
    clock: systemClock,
    random: Math.random,
  });
}

async function capturedTables(source: PostgresSource, { tables, topicPrefix }: ConnectorConfig) {
  // Debezium copies a partitioned table under its own name, too.
  return (await source.tables())
    .filter(({ schema, name }) => tables.matches(schema, name))
    .map(({ schema, name, estimatedRows }) => ({
      schema,
      name,
      topic: topicName(topicPrefix, schema, name),
      estimatedRows,
    }));
}
