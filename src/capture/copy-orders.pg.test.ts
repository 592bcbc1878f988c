import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { captured, capturing, connector, connectorConfig, until } from '../../test/capture.ts';
import { historyOf } from '../../test/log-history.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import { parsePosition } from '../domain/position.ts';
import type { EventLog } from '../ports/event-log.ts';
import { captureProducer, type NativeConnector } from './native-connector.ts';

const PRODUCER = captureProducer('test');

describe('a running connector', { timeout: 60_000 }, () => {
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

  const options = (schema: string, more: Record<string, string> = {}) => ({
    'slot.name': schema,
    'publication.name': schema,
    'publication.autocreate.mode': 'filtered',
    'schema.include.list': schema,
    ...more,
  });
  const allCopied = (running: NativeConnector) =>
    until(async () => running.status().copy?.every(({ done }) => done) === true);
  const stored = async (log: EventLog) => parsePosition((await log.positionOf(PRODUCER)) ?? '{}');
  const caughtUp = async (log: EventLog): Promise<void> => {
    const [row] = await client.query('select pg_current_wal_insert_lsn() - $1 as bytes', ['0/0']);
    await until(async () => ((await stored(log)).end ?? 0n) >= BigInt(row?.['bytes'] ?? 0));
  };

  test('copies the tables behind topics anew, keyed or not, while they change', async () => {
    await client.query(`
      create schema anew;
      create table anew.keyed (id int primary key, v text);
      alter table anew.keyed replica identity full;
      create table anew.bare (v text);
      create table anew.other (id int primary key);
      insert into anew.keyed select i, 'first' from generate_series(1, 50) i;
      insert into anew.bare values ('x'), ('x');
      insert into anew.other values (1)`);
    const log = new MemoryEventLog();
    const { connector: running, stop } = await capturing(
      server,
      log,
      options('anew', { 'incremental.snapshot.chunk.size': '8' }),
    );
    await running.copy(['test_server.anew.keyed', 'test_server.anew.bare']);
    for (let id = 1; id <= 60; id += 7)
      await client.query(
        `insert into anew.keyed values (${id}, 'new')
         on conflict (id) do update set v = 'changed'`,
      );
    await allCopied(running);
    assert.deepEqual(
      running.status().copy?.map(({ table }) => table),
      ['anew.bare', 'anew.keyed'],
    );
    await caughtUp(log);
    await stop();
    const { rows, problems } = await historyOf(log, 'test_server.anew.keyed', 2);
    assert.deepEqual(problems, []);
    assert.equal(rows.size, 51);
    const bare = await captured(log, 'test_server.anew.bare');
    assert.deepEqual(
      bare.map(({ value }) => (value as { source: { snapshot: string } }).source.snapshot),
      ['first', 'last_in_data_collection', 'incremental', 'incremental'],
    );
    assert.equal((await captured(log, 'test_server.anew.other')).length, 1);
    assert.equal((await stored(log)).copy, undefined);
  });

  test('goes on with an ordered copy after it was cut off in the middle', async () => {
    await client.query(`
      create schema cut;
      create table cut.a (id int primary key, v text);
      alter table cut.a replica identity full;
      insert into cut.a select i, 'first' from generate_series(1, 100) i`);
    const log = new MemoryEventLog();
    const more = options('cut', { 'incremental.snapshot.chunk.size': '4' });
    const { connector: running, stop } = await capturing(server, log, more);
    await running.copy(['test_server.cut.a']);
    await until(async () => (await stored(log)).copy?.[0]?.after !== undefined);
    await stop();
    const { copy: left } = await stored(log);
    assert.equal(left?.[0]?.name, 'a', 'it was cut off before its end');
    await client.query(`update cut.a set v = 'changed' where id % 9 = 0`);
    const again = await capturing(server, log, more);
    await allCopied(again.connector);
    await caughtUp(log);
    await again.stop();
    const { rows, problems, records } = await historyOf(log, 'test_server.cut.a', 2);
    assert.deepEqual(problems, []);
    assert.equal(rows.size, 100);
    assert.ok(records >= 200, `${records} records`);
  });

  test('refuses to copy what it does not follow, and streams on', async () => {
    await client.query('create schema known; create table known.a (id int primary key)');
    const log = new MemoryEventLog();
    const { connector: running, stop } = await capturing(server, log, options('known'));
    await client.query('create table known.later (id int primary key)');
    const topics = ['test_server.known.a', 'test_server.known.later', 'millrace.status'];
    await assert.rejects(running.copy(topics), {
      code: 'topic_not_captured',
      facts: { connector: 'test', topics: 'test_server.known.later, millrace.status' },
    });
    const { state, problem, copy } = running.status();
    assert.deepEqual(
      { state, rows: copy?.map(({ rows }) => rows) },
      { state: 'streaming', rows: [0] },
    );
    assert.match(problem ?? '', /topic_not_captured/);
    await client.query('insert into known.a values (1)');
    await until(async () => (await captured(log)).length === 1);
    await stop();
  });

  test('adopts a slot that another has carried on, from where that one stopped', async () => {
    await client.query('create schema shared; create table shared.a (id int primary key)');
    const log = new MemoryEventLog();
    await (await capturing(server, log, options('shared'))).stop();
    await client.query('insert into shared.a values (1)');
    await client.query(`select pg_replication_slot_advance('shared', pg_current_wal_insert_lsn())`);
    await client.query('insert into shared.a values (2)');

    await using source = await PostgresSource.open(server);
    const config = connectorConfig(server, options('shared'));
    const { signal } = new AbortController();
    await assert.rejects(connector(source, log, config).run(signal), { code: 'log_behind_slot' });

    const stopping = new AbortController();
    const running = connector(source, log, config, { adoptSlot: true });
    const done = running.run(stopping.signal);
    await until(async () => (await captured(log)).length === 1);
    stopping.abort();
    await done;
    assert.deepEqual(
      (await captured(log)).map(({ key }) => key),
      [{ id: 2 }],
    );
    const slot = await source.slot('shared');
    const { end } = await stored(log);
    assert.ok(end !== undefined && end >= (slot?.confirmedFlush ?? 0n));
  });
});
