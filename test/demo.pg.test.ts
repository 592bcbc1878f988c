import assert from 'node:assert/strict';
import { test } from 'node:test';
import { query } from '../src/adapters/postgres/client.ts';
import { CommandLine } from './command-line.ts';
import { temporaryPostgres } from './postgres.ts';

test("up --demo brings the pipeline's tables to an empty server of the user's own", async () => {
  await using server = await temporaryPostgres();
  await using millrace = await CommandLine.make({
    env: {
      POSTGRES_HOST: server.host,
      POSTGRES_PORT: String(server.port),
      POSTGRES_DB: server.database,
      POSTGRES_USER: server.user,
      POSTGRES_PASSWORD: server.password,
    },
  });
  const refused = await millrace.run('up');
  assert.equal(refused.exitCode, 78);
  assert.match(refused.err, /tables: expected at least one/);
  await millrace.up('--demo', '--no-generator');
  const [table] = await query(server, `SELECT to_regclass('public.orders') AS name`);
  assert.equal(table?.['name'], 'orders');
});
