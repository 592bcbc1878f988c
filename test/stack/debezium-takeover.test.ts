import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { openConnection } from '../../src/adapters/postgres/connection.ts';
import { PostgresSource } from '../../src/adapters/postgres/source.ts';
import type { MillraceError } from '../../src/domain/errors.ts';
import { parseLsn } from '../../src/domain/lsn.ts';
import { captured, capturing, connector, connectorConfig } from '../capture.ts';
import { seededRandom } from '../random.ts';
import { type Servers, watching } from './debezium.ts';
import { temporaryConnect } from './servers/connect.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { deployedPostgres } from './servers/postgres.ts';

const postgres = await deployedPostgres();
const kafka = await temporaryKafka();
const connect = await temporaryConnect(kafka);
const retention = { ms: 3_600_000, bytes: 1_000_000_000 };
const log = await KafkaEventLog.open({ brokers: kafka.brokers }, { retention });
const client = await openConnection(postgres);
const servers: Servers = { postgres, kafka, connect, log };
after(async () => {
  await client.end();
  await log[Symbol.asyncDispose]();
  await connect[Symbol.asyncDispose]();
  await kafka[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const TABLE = 'items';
const TOPIC = `takeover.public.${TABLE}`;
const OPTIONS = {
  'topic.prefix': 'takeover',
  'slot.name': 'takeover',
  'publication.name': 'takeover',
  'publication.autocreate.mode': 'filtered',
  'table.include.list': `public.${TABLE}`,
};
const PARTITIONS = 2;
const NEVER = new AbortController().signal;

/** Writes without a pause until `stop`, and knows all that it wrote. */
class Workload implements AsyncDisposable {
  /** `id=version` of every row as it ever was. */
  readonly versions: string[] = [];
  readonly deletes = new Map<number, number>();
  #transactions = 0;
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor() {
    this.#done = this.#run();
  }

  /** So many transactions later. */
  async more(count: number): Promise<void> {
    const goal = this.#transactions + count;
    while (this.#transactions < goal) await new Promise((resolve) => setImmediate(resolve));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const writer = await openConnection(postgres);
    const random = seededRandom(7);
    try {
      while (!this.#isStopped) {
        const changes = 1 + Math.floor(random() * 5);
        if (changes > 1) await writer.query('BEGIN');
        for (let change = 0; change < changes; change += 1) {
          const id = Math.floor(random() * 50);
          if (random() < 0.3) {
            const { rowCount } = await writer.query(`DELETE FROM ${TABLE} WHERE id = ${id}`);
            if (rowCount === 1) this.deletes.set(id, (this.deletes.get(id) ?? 0) + 1);
          } else {
            const version = this.versions.length;
            await writer.query(
              `INSERT INTO ${TABLE} VALUES (${id}, ${version}) ON CONFLICT (id) DO UPDATE SET v = ${version}`,
            );
            this.versions.push(`${id}=${version}`);
          }
        }
        if (changes > 1) await writer.query('COMMIT');
        this.#transactions += 1;
      }
    } finally {
      await writer.end();
    }
  }
}

type Change = Readonly<{ op: string; after: Readonly<{ id: number; v: number }> }>;

const isLogBehindSlot = ({ code }: MillraceError) => code === 'log_behind_slot';

const walEnd = async () => {
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  return parseLsn(rows[0]?.lsn ?? '');
};

const untilFree = async () => {
  const sql = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'takeover' AND NOT active";
  const deadlineMs = Date.now() + 30_000;
  while ((await client.query(sql)).rowCount === 0) assert.ok(Date.now() < deadlineMs);
};

/** Compares the topic with all that was written: nothing is missing, and each key ends as its row did. */
const compare = async ({ versions, deletes }: Workload) => {
  const found = new Set<string>();
  const deleted = new Map<number, number>();
  const last = new Map<number, number | null>();
  for (const { key, value } of await captured(log, TOPIC)) {
    const { id } = key as { id: number };
    const { op, after: row } = (value ?? { op: 'tombstone' }) as Change;
    if (op === 'd') deleted.set(id, (deleted.get(id) ?? 0) + 1);
    if (op === 'd' || op === 'tombstone') last.set(id, null);
    else {
      found.add(`${id}=${row.v}`);
      last.set(id, row.v);
    }
  }
  assert.deepEqual(
    versions.filter((version) => !found.has(version)),
    [],
  );
  for (const [id, count] of deletes) assert.ok((deleted.get(id) ?? 0) >= count, `deletes of ${id}`);
  const { rows } = await client.query<{ id: string; v: string }>(`SELECT id, v FROM ${TABLE}`);
  const left = [...last].filter(([, v]) => v !== null).toSorted(([a], [b]) => a - b);
  const expected = rows.map(({ id, v }) => [Number(id), Number(v)]);
  assert.deepEqual(
    left,
    expected.toSorted(([a = 0], [b = 0]) => a - b),
  );
};

describe('Debezium and the native connector', () => {
  test('Debezium reads the change that stands exactly where the slot was confirmed', async () => {
    await client.query('CREATE TABLE next (id int PRIMARY KEY)');
    await client.query('CREATE PUBLICATION next FOR TABLE next');
    await client.query("SELECT pg_create_logical_replication_slot('next', 'pgoutput')");
    await client.query("SELECT pg_replication_slot_advance('next', pg_current_wal_insert_lsn())");
    await client.query('INSERT INTO next VALUES (1)');
    const options = {
      'topic.prefix': 'next',
      'slot.name': 'next',
      'publication.name': 'next',
      'table.include.list': 'public.next',
    };
    await using debezium = await watching(servers, options, { adoptSlot: true });
    const end = await walEnd();
    await debezium.until('streaming', ({ confirmedLsn = '0/0' }) => parseLsn(confirmedLsn) >= end);
    const ops = (await captured(log, 'next.public.next')).map(({ value }) => (value as Change).op);
    assert.deepEqual(ops, ['c']);
  });

  test('take over from each other under load, and nothing is lost', async () => {
    await client.query(`CREATE TABLE ${TABLE} (id int PRIMARY KEY, v int)`);
    await client.query(`INSERT INTO ${TABLE} VALUES (1000, -1), (1001, -2)`);
    const how = { adoptSlot: true, partitions: PARTITIONS };

    const first = await capturing(postgres, log, OPTIONS, { partitions: PARTITIONS });
    await using workload = new Workload();
    await workload.more(200);
    await first.stop();
    await workload.more(100);

    await using debezium = await watching(servers, OPTIONS, how);
    await debezium.until('streaming', ({ changes }) => changes > 100);
    await workload.more(200);
    debezium.connector.pause();
    await debezium.until('paused');
    await debezium.stop();
    await untilFree();
    await workload.more(100);

    await using source = await PostgresSource.open(postgres);
    const config = connectorConfig(postgres, OPTIONS);
    await assert.rejects(connector(source, log, config).run(NEVER), isLogBehindSlot);
    const second = await capturing(postgres, log, OPTIONS, how);
    await workload.more(200);
    await second.stop();
    await workload.more(100);

    await using unaware = await watching(servers, OPTIONS, { partitions: PARTITIONS });
    await assert.rejects(unaware.ended, isLogBehindSlot);
    await using again = await watching(servers, OPTIONS, how);
    await again.until('streaming');
    await workload.more(200);
    await workload.stop();
    const end = await walEnd();
    await again.until('streaming', ({ confirmedLsn = '0/0' }) => parseLsn(confirmedLsn) >= end);
    await compare(workload);
  });
});
