import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { must } from '../src/lib/must.ts';
import { CommandLine, eventually, type Environment } from './command-line.ts';
import { temporaryPostgres, type TemporaryPostgres } from './postgres.ts';
import { Relay } from './relay.ts';

const SCHEMA = join(import.meta.dirname, '../pipelines/shop/schema.sql');

const environmentOf = (
  server: Pick<TemporaryPostgres, 'host' | 'port' | 'database' | 'user' | 'password'>,
): Environment => ({
  POSTGRES_HOST: server.host,
  POSTGRES_PORT: String(server.port),
  POSTGRES_DB: server.database,
  POSTGRES_USER: server.user,
  POSTGRES_PASSWORD: server.password,
});

describe("millrace up on a server of the user's own", () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
    await client.query(await readFile(SCHEMA, 'utf8'));
    await client.query(
      `insert into customers (email, first_name, last_name) values ('a@example.com', 'A', 'B')`,
    );
  });
  after(async () => {
    await client[Symbol.asyncDispose]();
    await server.stop();
  });

  /** All that a server has, beside what PostgreSQL brings. */
  const everything = async (): Promise<string[]> => {
    const rows = await client.query(`
      select 'relation ' || oid::regclass as what from pg_class where relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
      union all select 'function ' || proname from pg_proc where oid >= 16384
      union all select 'schema ' || nspname from pg_namespace where oid >= 16384
      union all select 'role ' || rolname from pg_roles where oid >= 16384
      union all select 'trigger ' || tgname from pg_trigger where not tgisinternal
      union all select 'database ' || datname from pg_database
      union all select 'slot ' || slot_name from pg_replication_slots
      union all select 'publication ' || pubname from pg_publication
      union all select 'setting ' || name from pg_file_settings where sourcefile like '%auto.conf'
      union all select 'customer ' || id from customers
      order by 1`);
    return rows.map(({ what }) => must(what, 'each has a name'));
  };

  test('creates slot and publication there and nothing else; reset --source drops both', async () => {
    await using shop = await CommandLine.make({ env: environmentOf(server) });
    const atFirst = await everything();
    const running = await shop.up();
    await shop.succeed('reconcile');
    const added = (await everything()).filter((each) => !atFirst.includes(each));
    assert.deepEqual(added, ['publication millrace_shop', 'slot millrace_shop']);
    const second = await shop.run('up');
    assert.equal(second.exitCode, 69);
    assert.match(second.err, new RegExp(`data_dir_locked[^]*pid: ${running.pid}[^]*millrace down`));
    const refused = await shop.run('reset', '--source', '--yes');
    assert.equal(refused.exitCode, 69);
    assert.match(refused.err, /millrace down/);
    const unasked = await shop.run('generate', '--once');
    assert.equal(unasked.exitCode, 2);
    assert.match(unasked.err, /--demo/);
    running.kill('SIGINT');
    assert.equal((await running.ended).exitCode, 0);
    const unconfirmed = await shop.run('reset', '--source');
    assert.equal(unconfirmed.exitCode, 2);
    assert.match(unconfirmed.err, /--yes/);
    assert.ok(existsSync(shop.dataDir));
    await shop.succeed('reset', '--source', '--yes');
    assert.deepEqual(await everything(), atFirst);
    assert.equal(existsSync(shop.dataDir), false);
  });

  test('waits while the server is away, at the start and later, and loses nothing', async () => {
    await using relay = new Relay(server);
    await relay.open();
    await relay.close();
    await using shop = await CommandLine.make({
      env: environmentOf({ ...server, port: relay.port }),
    });
    const running = shop.start('up');
    const state = async (wanted: string): Promise<void> =>
      eventually(wanted, async () => {
        // It answers nothing before it is up.
        const { running: isUp, connector } = await shop
          .status()
          .catch(() => ({ running: false, connector: undefined }));
        return isUp && connector?.state === wanted;
      });
    await state('waiting');
    assert.match(await shop.succeed('status'), /waiting/);
    await running.until(/source_unreachable.*is tried again/);
    await relay.open();
    await state('streaming');
    await running.until(/connector works again/);
    await relay.close();
    await state('waiting');
    await client.query(
      `insert into customers (email, first_name, last_name) values ('c@example.com', 'C', 'D')`,
    );
    await relay.open();
    await state('streaming');
    await shop.succeed('reconcile');
    running.kill('SIGINT');
    assert.equal((await running.ended).exitCode, 0);
    await shop.succeed('reset', '--source', '--yes');
  });

  test('refuses a wrong password without a word of it', async () => {
    await using shop = await CommandLine.make({
      env: environmentOf({ ...server, password: 'not-the-password' }),
    });
    const { exitCode, out, err } = await shop.run('up');
    assert.equal(exitCode, 78);
    assert.match(err, /source_login_failed[^]*POSTGRES_PASSWORD/);
    assert.doesNotMatch(out + err, /not-the-password/);
  });

  test('prints where the server is while nothing runs', async () => {
    await using shop = await CommandLine.make({ env: { ...environmentOf(server), PATH: '' } });
    const printed = await shop.succeed('psql');
    assert.match(printed, new RegExp(`${server.host}:${server.port}/${server.database}`));
    assert.match(printed, /POSTGRES_PASSWORD/);
  });

  test('serves a table without a primary key like the others', async () => {
    await client.query('create database keyless');
    const env = environmentOf({ ...server, database: 'keyless' });
    await using keyless = await PostgresClient.connect({ ...server, database: 'keyless' });
    await keyless.query(await readFile(SCHEMA, 'utf8'));
    await keyless.query(`alter table products drop constraint products_pkey cascade`);
    await keyless.query(`alter table products replica identity full`);
    await keyless.query(`insert into products (name, price) values ('copied', 1)`);
    await using shop = await CommandLine.make({ env });
    const running = await shop.up();
    await keyless.query(`insert into products (name, price) values ('streamed', 2)`);
    await keyless.query(
      `insert into customers (email, first_name, last_name) values ('a@example.com', 'A', 'B')`,
    );
    await shop.succeed('reconcile');
    assert.match(await shop.succeed('store', 'keys', 'product:*'), /product:7/);
    assert.match(await shop.succeed('dlq', 'list'), /No dead letters/);
    running.kill('SIGINT');
    assert.equal((await running.ended).exitCode, 0);
    await shop.succeed('reset', '--source', '--yes');
  });

  test('with --demo makes the tables of the shop, and fills them', async () => {
    await client.query('create database demo');
    await using shop = await CommandLine.make({
      env: { ...environmentOf({ ...server, database: 'demo' }), MOCK_DATA_INTERVAL_SECONDS: '0.2' },
    });
    await shop.up('--demo');
    await eventually('with orders', async () => {
      const found = await shop.ask('topics', {});
      return found.some(({ topic, records }) => topic.endsWith('.orders') && records > 50);
    });
    await shop.succeed('reconcile');
  });
});

test('refuses a server whose WAL level is too low, with what the doctor says', async () => {
  await using server = await temporaryPostgres({ settings: { wal_level: 'replica' } });
  await using shop = await CommandLine.make({ env: environmentOf(server) });
  const { exitCode, err } = await shop.run('up');
  assert.equal(exitCode, 78);
  assert.match(err, /source_not_ready[^]*wal_level[^]*ALTER SYSTEM SET wal_level[^]*doctor/);
  const doctor = await shop.run('doctor');
  assert.equal(doctor.exitCode, 1);
  assert.match(doctor.out, /missing.*wal_level[^]*ALTER SYSTEM SET wal_level/);
});
