import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { temporaryPostgres } from '../../../test/postgres.ts';
import type { TemporaryPostgres } from '../../../test/postgres.ts';
import { PostgresClient, query } from './client.ts';

describe('PostgresClient', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE kept (id integer)');
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const kept = async () => (await client.query('SELECT id FROM kept')).map((row) => row['id']);

  test('gives each value as text, exactly as PostgreSQL prints it', async () => {
    assert.deepEqual(
      await query(
        server,
        `SELECT 9007199254740993 AS big, 12.50::numeric AS money, true AS yes, NULL AS none,
          timestamp '2024-01-02 03:04:05.678901' AS t, $1::integer AS given`,
        [7],
      ),
      [
        {
          big: '9007199254740993',
          money: '12.50',
          yes: 't',
          none: null,
          t: '2024-01-02 03:04:05.678901',
          given: '7',
        },
      ],
    );
  });

  test('keeps others out of a transaction, and stores all of it or nothing', async () => {
    const stored = client.transaction(async (run) => {
      await run('INSERT INTO kept VALUES (1)');
      await run('INSERT INTO kept VALUES (2)');
    });
    const failed = client.transaction(async (run) => {
      await run('INSERT INTO kept VALUES (3)');
      throw new Error('no');
    });
    const seen = kept();
    await stored;
    await assert.rejects(failed, /^Error: no$/);
    assert.deepEqual(await seen, ['1', '2']);
  });

  test('rejects a transaction that swallowed the failure of a statement', async () => {
    const swallowed = client.transaction(async (run) => {
      await run('INSERT INTO kept VALUES (4)');
      await run('SELECT nonsense').catch(() => undefined);
    });
    await assert.rejects(swallowed, /nothing was committed/);
    assert.ok(!(await kept()).includes('4'));
  });
});
