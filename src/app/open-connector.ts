import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import type { ConnectorConfig } from '../capture/connector-config.ts';
import { NativeConnector } from '../capture/native-connector.ts';
import type { Connector } from '../ports/connector.ts';
import type { EventLog } from '../ports/event-log.ts';
import { partitionsOf } from './compose.ts';
import type { Config } from './config.ts';
import { CAPTURE_SCHEMAS } from './topics.ts';
import { VERSION } from './version.ts';

export type ConnectorPlace = Readonly<{
  log: EventLog;
  config: ConnectorConfig;
  connection: ConnectionFacts;
  partitions: Readonly<Record<string, number>>;
  adoptSlot: boolean;
  engine: Config['connector'];
}>;

/** A connector with what it holds open. */
export type OpenedConnector = AsyncDisposable & Readonly<{ connector: Connector }>;

export async function openConnector(place: ConnectorPlace): Promise<OpenedConnector> {
  const { log, config, connection, partitions, adoptSlot } = place;
  const source = await PostgresSource.open(connection);
  const connector = new NativeConnector({
    source,
    log,
    config,
    partitionsOf: partitionsOf({ partitions }),
    schemasTopic: CAPTURE_SCHEMAS,
    version: VERSION,
    adoptSlot,
    clock: Date.now,
  });
  return { connector, [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() };
}
