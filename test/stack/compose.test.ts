import assert from 'node:assert/strict';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import type { RunReport } from '../../src/batch/run/run-report.ts';
import { must } from '../../src/lib/must.ts';
import { CommandLine, eventually, jsonLines } from '../command-line.ts';
import { composeParts, interpolate, type Service } from '../compose-project.ts';
import { temporaryConnect } from './servers/connect.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { deployedPostgres } from './servers/postgres.ts';
import { temporaryRedis } from './servers/redis.ts';
import { installedSpark } from './servers/spark.ts';

const SCHEMA = join(import.meta.dirname, '../../pipelines/shop/schema.sql');

const services = Object.assign(
  {},
  ...composeParts().map(({ content }) => content.services),
) as Record<string, Service>;
const spark = await installedSpark();
const service = (name: string): Service => must(services[name], `there is a service ${name}`);

test('the roles of compose.yaml bring rows from PostgreSQL through Debezium to Redis', async () => {
  await using postgres = await deployedPostgres();
  await using admin = await PostgresClient.connect(postgres);
  await admin.query(await readFile(SCHEMA, 'utf8'));
  await using kafka = await temporaryKafka();
  await using redis = await temporaryRedis({ requirepass: 'secret' });
  await using lake = await mkdtempDisposable(join(tmpdir(), 'millrace-lake-'));

  // The addresses and the passwords of these servers, and less to wait for; all else is the services' own.
  const here: Readonly<Record<string, string>> = {
    POSTGRES_HOST: postgres.host,
    POSTGRES_PORT: String(postgres.port),
    POSTGRES_USER: postgres.user,
    POSTGRES_PASSWORD: postgres.password,
    KAFKA_BROKER: kafka.brokers.join(','),
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
    REDIS_PASSWORD: 'secret',
    MILLRACE_LAKE: lake.path,
    MILLRACE_LAKE_FLUSH_SECONDS: '1',
    BATCH_INTERVAL_SECONDS: '5',
  };
  const environmentOf = (name: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(service(name).environment ?? {}).map(([key, value]) => [
        key,
        here[key] ?? interpolate(String(value), {}),
      ]),
    );
  await using connect = await temporaryConnect({
    brokers: kafka.brokers,
    env: environmentOf('connect'),
  });

  await using line = await CommandLine.make();
  const start = (name: string) => {
    line.env = { ...environmentOf(name), MILLRACE_CONNECT_URL: connect.url };
    return line.start(...must(service(name).command, 'a role is a command'));
  };
  const processors = ['cdc-processor', 'stream-processor', 'batch-processor'];
  const roles = ['capture', ...processors, 'data-generator'].map(start);

  // As the scripts do, where they are in a container.
  const status = async () => jsonLines(await line.succeed('status', '--json'))[0];
  await eventually('streaming', async () => {
    const { connector } = (await status()) as { connector?: { state: string } };
    return connector?.state === 'streaming';
  });
  await eventually('counted', async () => {
    const { exitCode } = await line.run('store', 'get', 'metrics:orders:created');
    return exitCode === 0;
  });
  await eventually('measured', async () => {
    const { exitCode } = await line.run('store', 'get', 'realtime:metrics:latest');
    return exitCode === 0;
  });
  await eventually('modelled', async () => {
    const { exitCode } = await line.run('store', 'get', 'customer_segments:latest');
    return exitCode === 0;
  });
  await line.succeed('reconcile');
  assert.deepEqual(await (await fetch(`${connect.url}/connectors`)).json(), ['shop-connector']);

  for (const role of roles) role.kill('SIGTERM');
  const ended = await Promise.all(roles.map(({ ended: end }) => end));
  assert.deepEqual(
    ended.map(({ exitCode, err }) => [exitCode, err]),
    roles.map(() => [0, '']),
  );

  // Spark goes on from what DuckDB has made.
  line.env = {
    ...environmentOf('batch-processor'),
    ...spark.env,
    MILLRACE_WAREHOUSE: 'spark',
    MILLRACE_SPARK_SUBMIT: spark.submit,
    MILLRACE_SPARK_MASTER: 'local[2]',
  };
  const [ran] = jsonLines(await line.succeed('model', 'run', '--json')) as unknown as RunReport[];
  assert.match(String(ran?.warehouse), /^Spark 4\./);
  const wholes = ran?.models.filter((each) => each.outcome === 'done' && each.how === 'full') ?? [];
  assert.ok(wholes.length > 0);
  assert.ok(wholes.every(({ name }) => !['customer_totals', 'daily_orders'].includes(name)));
});
