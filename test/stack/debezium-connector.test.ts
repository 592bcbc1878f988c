import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { openConnection } from '../../src/adapters/postgres/connection.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import { parseLsn } from '../../src/domain/lsn.ts';
import type { ConnectorStatus } from '../../src/domain/status.ts';
import { captured } from '../capture.ts';
import { eventually } from '../command-line.ts';
import { type Servers, type Watched, watching } from './debezium.ts';
import { temporaryCertificate } from './servers/certificate.ts';
import { temporaryConnect } from './servers/connect.ts';
import { freePort } from './servers/free-port.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { deployedPostgres } from './servers/postgres.ts';

const postgres = await deployedPostgres();
const certificate = await temporaryCertificate();
const login = { mechanism: 'SCRAM-SHA-512', username: 'worker', password: 'worker-secret' };
const kafka = await temporaryKafka({
  listeners: { SCRAM: 'SASL_SSL' },
  scramUsers: [{ name: login.username, password: login.password }],
  settings: {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': certificate.keystoreFile,
    'listener.name.scram.sasl.enabled.mechanisms': login.mechanism,
    'listener.name.scram.scram-sha-512.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  },
});
const connect = await temporaryConnect({
  ...kafka,
  env: { POSTGRES_PASSWORD: postgres.password },
});
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
  await certificate[Symbol.asyncDispose]();
});

let last: Promise<unknown> = Promise.resolve();

/** One after the other, as a connection has it. */
const query = <Row extends Record<string, string | null>>(
  sql: string,
  values: readonly string[] = [],
) => {
  const result = last.then(() => client.query<Row>(sql, [...values]));
  last = result.catch(() => undefined);
  return result;
};

let made = 0;

/** A table of its own, with rows, and the options of a connector for it. */
const given = async (rows: number) => {
  made += 1;
  const number = made;
  const table = `t${number}`;
  await query(`CREATE TABLE ${table} (id int PRIMARY KEY, v text)`);
  await query(`INSERT INTO ${table} SELECT g, 'old' FROM generate_series(1, ${rows}) g`);
  const name = `test${number}`;
  const options = {
    'topic.prefix': name,
    'slot.name': name,
    'publication.name': name,
    'table.include.list': `public.${table}`,
  };
  return { table, topic: `${name}.public.${table}`, options };
};

/** All that was committed until now is in Kafka. */
const untilConfirmed = async (watched: Watched): Promise<ConnectorStatus> => {
  const { rows } = await query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  const end = parseLsn(rows[0]?.lsn ?? '');
  return watched.until('streaming', ({ confirmedLsn = '0/0' }) => parseLsn(confirmedLsn) >= end);
};

const changesIn = async (topic: string) =>
  (await captured(log, topic)).map(({ value }) => value as { op: string; after: { v: string } });

/** Asks again where Connect can't answer, as its workers are to agree on who runs what. */
const askConnect = async (path: string, method = 'GET') => {
  let answer = { status: 0, text: '' };
  await eventually('answered by Connect', async () => {
    const response = await fetch(`${connect.url}/${path}`, { method });
    answer = { status: response.status, text: await response.text() };
    return !(answer.status === 500 && /rebalance/.test(answer.text));
  });
  return answer;
};

const failsWith =
  (code: string, ...texts: readonly string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof MillraceError, String(error));
    assert.equal(error.code, code, error.message);
    for (const text of texts) assert.ok(error.message.includes(text), error.message);
    return true;
  };

// They mostly wait.
describe('DebeziumConnector', { concurrency: 4 }, () => {
  test('registers a connector that copies, then streams, and goes on when watching ends', async () => {
    const { table, topic, options } = await given(3);
    await using first = await watching(servers, options, { partitions: 2 });
    const copied = await first.until('streaming', ({ copy }) => copy?.[0]?.done === true);
    assert.deepEqual(copied.copy, [
      { table: `public.${table}`, rows: 3, estimatedRows: -1, done: true },
    ]);
    await query(`INSERT INTO ${table} VALUES (4, 'new')`);
    const { lagMs = Infinity } = await first.until('streaming', ({ changes }) => changes === 4);
    assert.ok(lagMs < 30_000, String(lagMs));
    await first.stop();
    assert.equal(first.connector.status().state, 'stopped');

    await query(`DELETE FROM ${table} WHERE id = 4`);
    await using second = await watching(servers, options, { partitions: 2 });
    await untilConfirmed(second);
    const ops = (await changesIn(topic)).map((value) => value?.op);
    assert.deepEqual(ops.toSorted(), ['c', 'd', 'r', 'r', 'r', undefined]);
  });

  test('confirms WAL of which nothing is captured', async () => {
    const { table, options } = await given(1);
    await using watched = await watching(servers, options);
    await watched.until('streaming');
    await query(`CREATE TABLE ${table}_unrelated (id int)`);
    await untilConfirmed(watched);
  });

  test('copies a table anew while changes flow, with nothing but the slot and the publication on the source', async () => {
    const { table, topic, options } = await given(2500);
    await using watched = await watching(servers, options);
    await watched.until('streaming', ({ copy }) => copy?.[0]?.done === true);
    await query(`UPDATE ${table} SET v = 'new'`);
    // Else the copy leaves out rows of which a change is about to come.
    await untilConfirmed(watched);
    await watched.connector.copy([topic]);
    const { copy } = await watched.until('streaming', (status) => status.copy?.[0]?.rows === 2500);
    assert.deepEqual(copy?.[0]?.done, true);
    // Debezium tells what it has read; the last rows may still be on their way.
    await untilConfirmed(watched);
    const last = new Map<unknown, string | undefined>();
    const copies: string[] = [];
    for (const { key, value } of await captured(log, topic)) {
      const { op, after: row, source } = value as Change;
      last.set((key as { id: number }).id, row.v);
      if (op === 'r' && source.snapshot === 'incremental') copies.push(row.v);
    }
    assert.equal(copies.length, 2500);
    assert.deepEqual(new Set(copies), new Set(['new']));
    assert.deepEqual(new Set(last.values()), new Set(['new']));
    assert.deepEqual(await tablesOfOthers(), []);
    await assert.rejects(watched.connector.copy(['nobody']), failsWith('topic_not_captured'));
  });

  test('copies a table where the worker has to log in to Kafka', async () => {
    const { topic, options } = await given(3);
    const access = {
      brokers: kafka.brokersAt('SCRAM'),
      tls: { caFile: certificate.certificateFile },
      sasl: login,
    };
    await using watched = await watching(servers, options, { access });
    await watched.until('streaming');
    await watched.connector.copy([topic]);
    await watched.until('streaming', ({ copy }) => copy?.[0]?.done === true);
    await untilConfirmed(watched);
    assert.equal((await changesIn(topic)).length, 6);
  });

  test('captures a table that is made while it runs', async () => {
    const { table, topic, options } = await given(1);
    const all = {
      ...options,
      'table.include.list': `public.${table}.*`,
      'publication.autocreate.mode': 'all_tables',
    };
    await using watched = await watching(servers, all);
    await watched.until('streaming');
    await query(`CREATE TABLE ${table}_later (id int PRIMARY KEY, v text)`);
    await query(`INSERT INTO ${table}_later VALUES (1, 'new')`);
    await untilConfirmed(watched);
    assert.deepEqual(
      (await changesIn(`${topic}_later`)).map(({ op }) => op),
      ['c'],
    );
  });

  test('pauses without holding the slot, resumes, and keeps a pause when watching ends', async () => {
    const { table, topic, options } = await given(1);
    await using first = await watching(servers, options);
    await first.until('streaming');
    first.connector.pause();
    await first.until('paused');
    await query(`INSERT INTO ${table} VALUES (2, 'new')`);
    await untilInactive(options['slot.name']);
    await first.stop();

    await using second = await watching(servers, options);
    await second.until('paused');
    second.connector.resume();
    await second.until('streaming');
    second.connector.pause();
    second.connector.resume();
    await untilConfirmed(second);
    assert.ok((await changesIn(topic)).some(({ op }) => op === 'c'));
  });

  test('lets the worker fill in what is secret', async () => {
    const { options } = await given(1);
    const secret = { ...options, 'database.password': '${env:POSTGRES_PASSWORD}' };
    await using watched = await watching(servers, secret);
    await watched.until('streaming');
    const { text } = await askConnect(`connectors/${options['topic.prefix']}/config`);
    assert.ok(text.includes('${env:POSTGRES_PASSWORD}'));
    assert.ok(!text.includes(postgres.password));
  });

  test('registers again what somebody removed, but not what it has removed itself', async () => {
    const { table, topic, options } = await given(1);
    await using watched = await watching(servers, options);
    await untilConfirmed(watched);
    const path = `connectors/${options['topic.prefix']}`;
    await askConnect(path, 'DELETE');
    await query(`INSERT INTO ${table} VALUES (2, 'new')`);
    await untilConfirmed(watched);
    const ops = (await changesIn(topic)).map(({ op }) => op);
    assert.deepEqual(ops, ['r', 'c']);
    await watched.connector.remove(new AbortController().signal);
    await watched.stop();
    assert.equal((await askConnect(path)).status, 404);
    await untilInactive(options['slot.name']);
  });

  test('shows why a task has failed, and starts it again until it works', async () => {
    const { options } = await given(1);
    const impatient = { ...options, 'slot.max.retries': '0', 'errors.max.retries': '0' };
    await using watched = await watching(servers, impatient);
    await watched.until('streaming');
    watched.connector.pause();
    await untilInactive(options['slot.name']);
    // Somebody else holds the slot.
    const other = await openConnection(postgres, { replication: true });
    const slot = options['slot.name'];
    const where = `"proto_version" '1', "publication_names" '${slot}'`;
    const holding = other.query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (${where})`);
    holding.catch(() => undefined); // it ends with its connection
    await untilActive(slot);
    watched.connector.resume();
    const { problem = '' } = await watched.until('waiting');
    assert.match(problem, /is active for PID/);
    await other.end();
    const { problem: left } = await watched.until('streaming');
    assert.equal(left, undefined);
  });

  test('says all that Connect finds wrong in one message, and registers nothing', async () => {
    const { options } = await given(1);
    const wrong = {
      ...options,
      'snapshot.mode': 'sometimes',
      'max.batch.size': 'many',
      'no.such.option': 'x',
    };
    await using watched = await watching(servers, wrong);
    const texts = ['snapshot.mode', 'max.batch.size', 'no.such.option: unknown option'];
    await assert.rejects(watched.ended, failsWith('connector_config_invalid', ...texts));
    assert.equal(watched.connector.status().state, 'failed');
    assert.equal((await askConnect(`connectors/${options['topic.prefix']}`)).status, 404);
  });

  test('names a wrong password, and never says it', async () => {
    const { options } = await given(1);
    await using watched = await watching(servers, {
      ...options,
      'database.password': 'not-the-one',
    });
    await assert.rejects(watched.ended, failsWith('source_login_failed', 'Kafka Connect'));
    assert.ok(!JSON.stringify(watched.connector.status()).includes('not-the-one'));
  });

  test('names an address where nobody, or somebody else, listens', async () => {
    const { options } = await given(1);
    await using nobody = await watching(servers, options, {
      url: `http://127.0.0.1:${await freePort()}`,
    });
    await assert.rejects(nobody.ended, failsWith('connect_unreachable', 'ECONNREFUSED'));
    assert.equal(nobody.connector.status().state, 'waiting');
    await using other = await watching(servers, options, { url: `${connect.url}/elsewhere` });
    await assert.rejects(other.ended, failsWith('connect_refused', '404'));
  });

  test('names a worker that does not have Debezium', async () => {
    await using bare = await temporaryConnect({
      ...kafka,
      settings: { 'plugin.path': '/nonexistent', 'group.id': 'bare' },
    });
    const { options } = await given(1);
    await using watched = await watching(servers, options, { url: bare.url });
    const plugin = 'io.debezium.connector.postgresql.PostgresConnector';
    await assert.rejects(watched.ended, failsWith('connect_plugin_missing', plugin));
  });

  test('refuses a slot that somebody else has made, and one that is gone', async () => {
    const { options } = await given(1);
    const slot = options['slot.name'];
    await query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
    await using foreign = await watching(servers, options);
    await assert.rejects(foreign.ended, failsWith('slot_exists', slot));
    await query(`SELECT pg_drop_replication_slot('${slot}')`);

    await using own = await watching(servers, options);
    await untilConfirmed(own);
    own.connector.pause();
    await own.until('paused');
    await untilInactive(slot);
    await query(`SELECT pg_drop_replication_slot('${slot}')`);
    own.connector.resume();
    await assert.rejects(own.ended, failsWith('slot_missing', slot));
    await using again = await watching(servers, options);
    await assert.rejects(again.ended, failsWith('slot_missing', slot));
  });
});

describe('DebeziumConnector, alone with its worker,', () => {
  test('goes on when Connect is killed and comes back', async () => {
    const { table, topic, options } = await given(1);
    await using watched = await watching(servers, options);
    await watched.until('streaming');
    await connect.kill();
    const { problem = '' } = await watched.until('waiting');
    assert.match(problem, /^connect_unreachable/);
    await query(`INSERT INTO ${table} VALUES (2, 'new')`);
    await connect.restart();
    const status = await untilConfirmed(watched);
    assert.equal(status.problem, undefined);
    assert.ok((await changesIn(topic)).some(({ op }) => op === 'c'));
  });
});

type Change = Readonly<{
  op: string;
  after: Readonly<{ v: string }>;
  source: Readonly<{ snapshot: string }>;
}>;

/** Those that no test has made. */
const tablesOfOthers = async () => {
  const where = "relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname !~ '^t[0-9]'";
  return (await query(`SELECT relname FROM pg_class WHERE ${where}`)).rows;
};

const untilActive = (slot: string) => untilSlot(slot, true);
const untilInactive = (slot: string) => untilSlot(slot, false);

async function untilSlot(slot: string, isActive: boolean): Promise<void> {
  const sql = 'SELECT active FROM pg_replication_slots WHERE slot_name = $1';
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    const { rows } = await query<{ active: string }>(sql, [slot]);
    if (rows[0]?.active === (isActive ? 't' : 'f')) return;
    if (Date.now() > deadlineMs) throw new Error(`the slot ${slot}: ${JSON.stringify(rows)}`);
  }
}
