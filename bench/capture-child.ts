/*
 * Runs the native connector into a durable log of its own, until its position is at or past an LSN and the
 * first copy, if any, is in the log. Prints one JSON object: seconds, changes, CPU microseconds.
 */
import { LmdbEventLog } from '../src/adapters/lmdb/event-log.ts';
import { PostgresSource } from '../src/adapters/postgres/source.ts';
import { readConnectorConfig } from '../src/capture/connector-config.ts';
import { captureProducer, NativeConnector } from '../src/capture/native-connector.ts';
import { parseLsn } from '../src/domain/lsn.ts';
import { parsePosition } from '../src/domain/position.ts';

const [, , dir = '', slot = '', end = '', how = ''] = process.argv;
const { host, port, user, password, database } = JSON.parse(
  // oxlint-disable-next-line node/no-process-env -- its parent tells the password here
  process.env['BENCH_SERVER'] ?? '{}',
) as Record<string, string>;
const config = readConnectorConfig(
  {
    name: 'bench',
    config: {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'database.hostname': host,
      'database.port': port,
      'database.user': user,
      'database.password': password,
      'database.dbname': database,
      'topic.prefix': 'bench',
      'slot.name': slot,
      'publication.name': 'bench',
      'publication.autocreate.mode': 'disabled',
      'table.include.list': 'public.bench',
      'decimal.handling.mode': 'string',
      'time.precision.mode': 'isostring',
    },
  },
  {},
);
await using log = await LmdbEventLog.open({
  dir,
  retention: { ms: 168 * 3_600_000, bytes: 8 * 2 ** 30 },
});
await using source = await PostgresSource.open(config.database);
const connector = new NativeConnector({
  source,
  log,
  config,
  partitionsOf: () => 1,
  schemasTopic: 'schemas',
  version: 'bench',
  adoptSlot: how === 'adopt',
  clock: Date.now,
});
const stop = new AbortController();
const cpuBefore = process.cpuUsage();
const started = performance.now();
const running = connector.run(stop.signal);
running.catch(() => stop.abort());
while (!stop.signal.aborted && !(await hasReached()))
  await new Promise((resolve) => setTimeout(resolve, 5));
const seconds = (performance.now() - started) / 1000;
const cpu = process.cpuUsage(cpuBefore);
const { changes } = connector.status();
stop.abort();
await running;
process.stdout.write(`${JSON.stringify({ seconds, changes, cpuUs: cpu.user + cpu.system })}\n`);

async function hasReached(): Promise<boolean> {
  const text = await log.positionOf(captureProducer('bench'));
  if (text === undefined) return false;
  const position = parsePosition(text);
  return position.copy === undefined && position.end !== undefined && position.end >= parseLsn(end);
}
