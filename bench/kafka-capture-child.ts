/*
 * Runs the native connector into Kafka until it is told to end. Its connector.json and the brokers
 * come by the environment, as the password of the source is among them.
 */
import { KafkaEventLog } from '../src/adapters/kafka/event-log.ts';
import { PostgresSource } from '../src/adapters/postgres/source.ts';
import { readConnectorConfig } from '../src/capture/connector-config.ts';
import { NativeConnector } from '../src/capture/native-connector.ts';
import { SCHEMAS_TOPIC, type CaptureTask } from './kafka-engines.ts';

const { connector, brokers } = JSON.parse(
  // oxlint-disable-next-line node/no-process-env -- its parent tells the password here
  process.env['BENCH_CAPTURE'] ?? '{}',
) as CaptureTask;
const config = readConnectorConfig(connector, {});
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
await using log = await KafkaEventLog.open(
  { brokers },
  { retention: { ms: 168 * 3_600_000, bytes: 100 * 2 ** 30 } },
);
await using source = await PostgresSource.open(config.database);
await new NativeConnector({
  source,
  log,
  config,
  partitionsOf: () => 1,
  schemasTopic: SCHEMAS_TOPIC,
  version: 'bench',
  adoptSlot: true,
  clock: Date.now,
}).run(stop.signal);
