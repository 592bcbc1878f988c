import { PostgresSource } from '../src/adapters/postgres/source.ts';
import { readConnectorConfig } from '../src/capture/connector-config.ts';
import { NativeConnector } from '../src/capture/native-connector.ts';
import type { ChangeSource } from '../src/ports/change-source.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { readTo } from '../src/ports/read-to.ts';
import type { LogRecord } from '../src/domain/record-block.ts';
import type { TemporaryPostgres } from './postgres.ts';

export type Captured = Readonly<{
  topic: string;
  key: unknown;
  value: unknown;
  headers: LogRecord['headers'];
}>;

/** A connector's configuration for a test's server; `options` are added, in Debezium's form. */
export function connectorConfig(
  server: Pick<TemporaryPostgres, 'host' | 'port' | 'user' | 'password' | 'database'>,
  options: Record<string, string> = {},
) {
  return readConnectorConfig(
    {
      name: 'test',
      config: {
        'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
        'plugin.name': 'pgoutput',
        'database.hostname': server.host,
        'database.port': String(server.port),
        'database.user': server.user,
        'database.password': server.password,
        'database.dbname': server.database,
        'topic.prefix': 'test_server',
        'slot.name': 'test',
        'decimal.handling.mode': 'string',
        'time.precision.mode': 'isostring',
        ...options,
      },
    },
    {},
  );
}

export function connector(
  source: ChangeSource,
  log: EventLog,
  config: ReturnType<typeof connectorConfig>,
  { adoptSlot = false, partitions = 1 } = {},
): NativeConnector {
  return new NativeConnector({
    source,
    log,
    config,
    partitionsOf: () => partitions,
    schemasTopic: 'schemas',
    version: '0.0.0',
    adoptSlot,
    clock: Date.now,
  });
}

/** Runs a connector against the server until the returned `stop` is awaited, which throws what it threw. */
export async function capturing(
  server: TemporaryPostgres,
  log: EventLog,
  options: Record<string, string> = {},
  how: Readonly<{ adoptSlot?: boolean; partitions?: number }> = {},
): Promise<{ connector: NativeConnector; stop: () => Promise<void> }> {
  const source = await PostgresSource.open(server);
  const running = connector(source, log, connectorConfig(server, options), how);
  const stopping = new AbortController();
  const done = running.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    try {
      await done;
    } finally {
      await source[Symbol.asyncDispose]();
    }
  };
  await until(async () => {
    if (running.status().state === 'failed') await done;
    return running.status().state === 'streaming';
  });
  return { connector: running, stop };
}

/** All records of table topics that are in the log now, parsed, topic by topic. */
export async function captured(log: EventLog, prefix = 'test_server.'): Promise<Captured[]> {
  const all: Captured[] = [];
  for (const { name, partitions } of await log.topics())
    for (let partition = 0; name.startsWith(prefix) && partition < partitions; partition += 1)
      for (const { key, value, headers } of await recordsOf(log, name, partition))
        all.push({ topic: name, key: parsed(key), value: parsed(value), headers });
  return all;
}

export async function recordsOf(log: EventLog, topic: string, partition = 0): Promise<LogRecord[]> {
  const { start, end } = await log.offsets({ topic, partition });
  const from = { topic, partition, offset: start };
  const { signal } = new AbortController();
  return (await Array.fromAsync(readTo(log, from, end, signal))).flat();
}

/** Asks again at once until it is so; each question is I/O, so others get their turn. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
}

function parsed(bytes: Uint8Array | null): unknown {
  return bytes === null ? null : JSON.parse(Buffer.from(bytes).toString());
}
