import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { temporaryPostgres } from '../../test/postgres.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';
import { readConnectorConfig } from '../capture/connector-config.ts';
import { describeTables } from './described-tables.ts';

describe('describeTables', { timeout: 60_000 }, () => {
  test('tells what rows have that are older than a column with a default', async () => {
    const server = await temporaryPostgres();
    try {
      await using client = await PostgresClient.connect(server);
      await client.query('create table t (id int primary key)');
      await client.query('insert into t values (1)');
      await client.query(`alter table t add "of ""old""" text default 'it''s {"a", b}',
        add amount numeric(10, 2) default 1.50, add nothing int, add later timestamptz default now()`);
      const config = readConnectorConfig(
        {
          name: 'c',
          config: {
            'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
            'database.hostname': server.host,
            'database.port': String(server.port),
            'database.user': server.user,
            'database.password': server.password,
            'database.dbname': server.database,
            'topic.prefix': 'p',
            'plugin.name': 'pgoutput',
            'decimal.handling.mode': 'string',
            'time.precision.mode': 'isostring',
          },
        },
        {},
      );
      const [table] = await describeTables(server, config, 'native');
      const missing = table?.columns.map((column) => [column.name, column.missing]);
      assert.deepEqual(missing?.slice(0, 4), [
        ['id', undefined],
        ['of "old"', `it's {"a", b}`],
        ['amount', '1.50'],
        ['nothing', undefined],
      ]);
      // `now()` was asked once, when the column was added.
      assert.match(missing?.[4]?.[1] ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d/);
    } finally {
      await server.stop();
    }
  });
});
