import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { captured, capturing, until } from './capture.ts';
import { temporaryPostgres } from './postgres.ts';

test('a long value that a change of the key leaves alone comes from the old row', async () => {
  await using server = await temporaryPostgres();
  await using client = await PostgresClient.connect(server);
  await client.query(`
    create table a (id int primary key, note text);
    alter table a replica identity full;
    alter table a alter note set storage external`);
  const log = new MemoryEventLog();
  const { stop } = await capturing(server, log);
  await client.query(`insert into a values (1, repeat('x', 5000))`);
  await client.query('update a set id = 2');
  // Created, deleted with its tombstone, created.
  await until(async () => (await captured(log)).length >= 4);
  await stop();
  const values = (await captured(log)).map(({ value }) => value as { after?: unknown } | null);
  const note = 'x'.repeat(5000);
  assert.deepEqual(
    values.map((value) => value?.after ?? null),
    [{ id: 1, note }, null, null, { id: 2, note }],
  );
});
