import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { captured, capturing, recordsOf, until } from '../../test/capture.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';

const TOPIC = '__debezium-heartbeat.test_server';

describe('heartbeats', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const beats = async (log: MemoryEventLog, topic = TOPIC) => {
    const known = (await log.topics()).some(({ name }) => name === topic);
    return known ? await recordsOf(log, topic) : [];
  };

  test('come as Debezium writes them while nothing happens, and have their action run', async () => {
    await client.query(`
      create schema idle;
      create table idle.pulse (id int primary key, n int);
      insert into idle.pulse values (1, 0)`);
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log, {
      'schema.include.list': 'idle',
      'heartbeat.interval.ms': '20',
      'heartbeat.action.query': 'update idle.pulse set n = n + 1 where id = 1',
    });
    const pulses = () => captured(log, 'test_server.idle.pulse');
    const [row] = await client.query('select extract(epoch from now()) * 1000 as now');
    await until(async () => (await beats(log)).length >= 3 && (await pulses()).length >= 4);
    await stop();
    const [first] = await beats(log);
    assert.ok(first !== undefined && first.key !== null && first.value !== null);
    assert.equal(Buffer.from(first.key).toString(), '{"serverName":"test_server"}');
    const value = JSON.parse(Buffer.from(first.value).toString()) as { ts_ms: number };
    assert.deepEqual(Object.keys(value), ['ts_ms']);
    assert.ok(Math.abs(value.ts_ms - Number(row?.['now'])) < 60_000);
    assert.deepEqual(first.headers, []);
    const topic = (await log.topics()).find(({ name }) => name === TOPIC);
    assert.deepEqual(topic, { name: TOPIC, partitions: 1, cleanup: 'delete' });
  });

  test('go on, and tell why, while the server refuses their action', async () => {
    await client.query('create schema refused; create table refused.a (id int primary key)');
    const log = new MemoryEventLog();
    const { connector, stop } = await capturing(server, log, {
      'slot.name': 'refused',
      'schema.include.list': 'refused',
      'heartbeat.interval.ms': '20',
      'heartbeat.topics.prefix': 'beats',
      'heartbeat.action.query': 'insert into refused.later values (1)',
    });
    await until(async () => (await beats(log, 'beats.test_server')).length >= 2);
    const { state, problem } = connector.status();
    assert.equal(state, 'streaming');
    assert.match(problem ?? '', /heartbeat\.action\.query failed: .*refused\.later/);
    await client.query('create table refused.later (id int)');
    await until(async () => connector.status().problem === undefined);
    await stop();
  });

  test('do not keep the connector from stopping while their action waits for a lock', async () => {
    await client.query('create schema locked; create table locked.a (id int primary key)');
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log, {
      'slot.name': 'locked',
      'publication.name': 'locked',
      'publication.autocreate.mode': 'filtered',
      'schema.include.list': 'locked',
      'heartbeat.interval.ms': '1',
      'heartbeat.action.query': 'insert into locked.a values (1) on conflict do nothing',
    });
    await client.transaction(async (query) => {
      await query('lock table locked.a');
      await using other = await PostgresClient.connect(server);
      await until(async () => {
        const waiting = await other.query('select 1 from pg_locks where not granted');
        return waiting.length > 0;
      });
      await stop();
    });
  });
});
