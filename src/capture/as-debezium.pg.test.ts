import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { captured, capturing, until } from '../../test/capture.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';

type Value = Readonly<{ op: string; source: { snapshot: string | null } }> | null;

/** What test/stack/native-and-debezium.test.ts found by comparison, kept here without Debezium. */
describe('as Debezium does, the native connector', { timeout: 60_000 }, () => {
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

  /** Key, operation and mark of each record, once as many came, topic by topic. */
  const told = async (
    schema: string,
    steps: readonly string[],
    records: number,
    more: Record<string, string> = {},
  ) => {
    const log = new MemoryEventLog();
    const options = { 'slot.name': schema, 'publication.name': schema, ...more };
    const { stop } = await capturing(server, log, { 'schema.include.list': schema, ...options });
    for (const step of steps) await client.query(step);
    await until(async () => (await captured(log)).length >= records);
    await stop();
    return (await captured(log)).map(({ topic, key, value }) => {
      const { op, source } = (value as Value) ?? {};
      const table = topic.replace(`test_server.${schema}.`, '');
      return [table, key, ...(op === undefined ? [] : [op, source?.snapshot])];
    });
  };

  test('writes a tombstone after a delete also where there is no key', async () => {
    await client.query(`
      create schema keyless;
      create table keyless.t (v text);
      alter table keyless.t replica identity full`);
    const steps = [`insert into keyless.t values ('x')`, 'delete from keyless.t'];
    assert.deepEqual(await told('keyless', steps, 3), [
      ['t', null, 'c', 'false'],
      ['t', null, 'd', 'false'],
      ['t', null],
    ]);
  });

  test('keys by a unique index where there is no primary key, in the order of the index', async () => {
    await client.query(`
      create schema uniquely;
      create table uniquely.chosen (a int not null, b int not null);
      create unique index chosen_key on uniquely.chosen (b, a);
      alter table uniquely.chosen replica identity using index chosen_key;
      create table uniquely.found (a int not null, b int not null, unique (b, a));
      insert into uniquely.chosen values (1, 2);
      insert into uniquely.found values (1, 2)`);
    const steps = [
      'insert into uniquely.chosen values (3, 4)',
      'insert into uniquely.found values (3, 4)',
    ];
    const found = await told('uniquely', steps, 4);
    assert.deepEqual(
      found.map(([table, key, op]) => [table, JSON.stringify(key), op]),
      [
        ['chosen', '{"b":2,"a":1}', 'r'],
        ['chosen', '{"b":4,"a":3}', 'c'],
        ['found', '{"b":2,"a":1}', 'r'],
        ['found', '{"b":4,"a":3}', 'c'],
      ],
    );
  });

  test('copies the rows of a partitioned table under its own name, too', async () => {
    await client.query(`
      create schema split;
      create table split.none (id int) partition by list (id);
      create table split.whole (id int primary key) partition by list (id);
      create table split.part partition of split.whole for values in (1, 2);
      insert into split.whole values (1)`);
    assert.deepEqual(await told('split', ['insert into split.whole values (2)'], 3), [
      ['part', { id: 1 }, 'r', 'last_in_data_collection'],
      ['part', { id: 2 }, 'c', 'false'],
      ['whole', { id: 1 }, 'r', 'last'],
    ]);
  });

  test('calls a row the first in the first table alone, also one that is alone there', async () => {
    await client.query(`
      create schema marked;
      create table marked.a (id int primary key);
      create table marked.b (id int primary key);
      insert into marked.a values (1);
      insert into marked.b values (1), (2)`);
    assert.deepEqual(await told('marked', [], 3), [
      ['a', { id: 1 }, 'r', 'first'],
      ['b', { id: 1 }, 'r', 'first_in_data_collection'],
      ['b', { id: 2 }, 'r', 'last'],
    ]);
  });

  test('leaves the mark of streamed changes out with a converter that keeps nulls', async () => {
    await client.query('create schema nulls; create table nulls.t (id int primary key)');
    const option = { 'value.converter.replace.null.with.default': 'false' };
    assert.deepEqual(await told('nulls', ['insert into nulls.t values (1)'], 1, option), [
      ['t', { id: 1 }, 'c', null],
    ]);
  });
});
