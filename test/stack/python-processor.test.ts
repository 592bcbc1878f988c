import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual, promisify } from 'node:util';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { must } from '../../src/lib/must.ts';
import { capturing } from '../capture.ts';
import { eventually } from '../command-line.ts';
import { pythonWith } from './python-environment.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { deployedPostgres } from './servers/postgres.ts';
import { temporaryRedis } from './servers/redis.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLE = join(ROOT, 'examples/python');
const TOPIC = 'dbserver1.public.orders';
const PARTITIONS = 2;
const run = promisify(execFile);
const python = await pythonWith(join(EXAMPLE, 'requirements.txt'));

test("the Python example's own tests pass", async () => {
  await run(python, ['-B', '-m', 'unittest'], { cwd: EXAMPLE });
});

describe('the Python example on Kafka and Redis', async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await deployedPostgres());
  const kafka = stack.use(await temporaryKafka());
  const redis = stack.use(await temporaryRedis());
  const client = stack.use(await PostgresClient.connect(server));
  const log = stack.use(
    await KafkaEventLog.open(
      { brokers: kafka.brokers },
      { retention: { ms: 168 * 3_600_000, bytes: 2 ** 30 } },
    ),
  );
  const running = new Set<Processor>();
  const shop = stack.move();
  let capture: Awaited<ReturnType<typeof capturing>> | undefined;
  after(async () => {
    for (const processor of running) await processor.end('SIGKILL');
    await capture?.stop();
    await shop.disposeAsync();
  });

  /** A member of the group. */
  const start = (env: Readonly<Record<string, string>> = {}): Processor => {
    const processor = new Processor({
      KAFKA_BROKER: kafka.brokers.join(','),
      REDIS_HOST: redis.host,
      REDIS_PORT: String(redis.port),
      ...env,
    });
    running.add(processor);
    void processor.ended.then(() => running.delete(processor));
    return processor;
  };

  /** What the example's page says it is the answer to. */
  const inSource = async (): Promise<Revenue> => {
    const rows = await client.query(
      'SELECT status, count(*) AS orders, sum(total_amount) AS revenue FROM orders GROUP BY status',
    );
    return Object.fromEntries(
      rows.map(({ status, orders, revenue }) => [
        must(status, 'every order has one'),
        { orders: Number(orders), revenue: must(revenue, 'every order has an amount') },
      ]),
    );
  };
  const inRedis = async (): Promise<Revenue> => {
    const port = String(redis.port);
    const { stdout } = await run('redis-cli', [
      '-p',
      port,
      '--json',
      'hgetall',
      'revenue_by_status',
    ]);
    const found = Object.entries(JSON.parse(stdout) as Record<string, string>);
    return Object.fromEntries(found.map(([status, json]) => [status, JSON.parse(json) as Total]));
  };
  const untilEqual = async (): Promise<void> => {
    const expected = await inSource();
    await eventually('equal to SQL', async () =>
      isDeepStrictEqual(await inRedis(), expected),
    ).catch(async () => assert.deepEqual(await inRedis(), expected));
  };

  before(async () => {
    await client.query(await readFile(join(ROOT, 'pipelines/shop/schema.sql'), 'utf8'));
    await client.query('SELECT setseed(0.5)');
    await churn(client);
    await log.createTopics([
      { name: TOPIC, partitions: PARTITIONS, cleanup: 'delete' },
      { name: 'schemas', partitions: 1, cleanup: 'compact' },
    ]);
    capture = await capturing(
      server,
      log,
      {
        'topic.prefix': 'dbserver1',
        'table.include.list': 'public.orders',
        'skipped.operations': 'none',
      },
      { partitions: PARTITIONS },
    );
  });
  test('its figures are those of SQL, though it is killed, twice, as they change', async () => {
    for (let kill = 0; kill < 2; kill += 1) {
      const processor = start();
      const before = await inRedis();
      const churning = churn(client);
      await eventually('under way', async () => !isDeepStrictEqual(await inRedis(), before));
      await processor.end('SIGKILL');
      await churning;
    }
    start();
    await untilEqual();
  });

  test('rows that are copied again change nothing', async () => {
    const before = await inRedis();
    await must(capture, 'it runs').connector.copy([TOPIC]);
    await churn(client);
    await untilEqual();
    assert.notDeepEqual(await inRedis(), before);
  });

  test('members share the partitions, and take over from one that is killed', async () => {
    const [first] = running;
    const second = start();
    await eventually('a member', async () => second.printed.includes('reads from'));
    await churn(client);
    await must(first, 'it runs').end('SIGKILL');
    await churn(client);
    await untilEqual();
  });

  test('a Redis that lost everything is filled again from the log', async () => {
    await run('redis-cli', ['-p', String(redis.port), 'flushall']);
    await churn(client);
    await untilEqual();
  });

  test('a truncate removes the orders of all partitions', async () => {
    await client.query('TRUNCATE orders CASCADE');
    await eventually('empty', async () => isDeepStrictEqual(await inRedis(), {}));
    await churn(client);
    await untilEqual();
  });

  test('SIGTERM ends it in order, and it goes on where it stopped', async () => {
    for (const processor of running) assert.equal(await processor.end('SIGTERM'), 0);
    await churn(client);
    start();
    await untilEqual();
  });

  test('a server that is not there is named, with what to check', async () => {
    const lost = start({ REDIS_PORT: '1' });
    assert.equal(await lost.ended, 69);
    assert.match(lost.printed, /expected Redis at 127\.0\.0\.1:1, found: .*: check REDIS_HOST/);
  });

  test('a record that is no change event stops it, and is named', async () => {
    const before = await inRedis();
    const processor = must([...running][0], 'one runs');
    const kcat = `echo 'no change' | kcat -P -b ${kafka.brokers.join(',')} -t ${TOPIC} -p 0`;
    await run('bash', ['-euo', 'pipefail', '-c', kcat]);
    assert.equal(await processor.ended, 1);
    assert.match(processor.printed, /partition 0, offset \d+: expected the value to be JSON/);
    assert.deepEqual(await inRedis(), before);
  });
});

type Total = Readonly<{ orders: number; revenue: string }>;
type Revenue = Readonly<Record<string, Total>>;

/** Orders of every status come, go on, change their amount and their key, and go; some never were. */
async function churn(client: PostgresClient): Promise<void> {
  const status = `(ARRAY['pending','processing','shipped','delivered','cancelled'])[1 + floor(random() * 5)::int]`;
  const insert = `INSERT INTO orders (total_amount, status) SELECT (random() * 2000)::numeric(10,2), ${status}`;
  for (let n = 0; n < 10; n += 1) {
    await client.query(`${insert} FROM generate_series(1, 100)`);
    await client.query(`UPDATE orders SET status = ${status} WHERE random() < 0.05`);
    await client.query(
      'UPDATE orders SET total_amount = total_amount + 0.01 WHERE random() < 0.05',
    );
    await client.query(`UPDATE orders SET id = nextval('orders_id_seq') WHERE random() < 0.01`);
    await client.query('DELETE FROM orders WHERE random() < 0.03');
    await client.query(`BEGIN; ${insert} FROM generate_series(1, 10); ROLLBACK`);
  }
}

/** One process of the example. */
class Processor {
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #printed = '';

  constructor(env: Readonly<Record<string, string>>) {
    this.#child = spawn(python, ['-B', '-m', 'revenue_by_status'], {
      cwd: EXAMPLE,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#printed += text));
    this.ended = once(this.#child, 'close').then(([exitCode]) => exitCode as number | null);
    const killNow = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', killNow);
    void this.ended.then(() => process.off('exit', killNow));
  }

  get printed(): string {
    return this.#printed;
  }

  /** Settles when it has ended, with its exit code. */
  end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended;
  }
}
