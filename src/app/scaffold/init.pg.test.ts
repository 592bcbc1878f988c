import assert from 'node:assert/strict';
import { mkdir, mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { temporaryPostgres, type TemporaryPostgres } from '../../../test/postgres.ts';
import { PostgresClient } from '../../adapters/postgres/client.ts';
import { readConnectorConfig } from '../../capture/connector-config.ts';
import { initPipeline, type InitOptions } from './init.ts';

describe('init', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  before(async () => {
    server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query(`
      create table orders (id int primary key, note text);
      create table notes (body text);
      create schema "odd, one";
      create table "odd, one"."a.b+(c)" (id int primary key);
      create table parted (id int primary key) partition by range (id);
      create table parted_low partition of parted for values from (0) to (9)`);
  });
  after(() => server.stop());

  const made = async (dir: string, more: Partial<InitOptions> = {}) => {
    const env = {
      POSTGRES_HOST: server.host,
      POSTGRES_PORT: String(server.port),
      POSTGRES_USER: server.user,
      POSTGRES_PASSWORD: server.password,
      POSTGRES_DB: server.database,
    };
    const dataDir = join(tmpdir(), 'millrace-of-nobody');
    const options = {
      dir,
      name: undefined,
      tables: undefined,
      force: false,
      dataDir,
      env,
      ...more,
    };
    return initPipeline(options, new AbortController().signal);
  };
  const folder = () => mkdtempDisposable(join(tmpdir(), 'millrace-init-'));

  test('captures all tables but those whose rows are their partitions, under names of the folder', async () => {
    await using parent = await folder();
    const dir = join(parent.path, 'My shop_2');
    const { name, tables, checks } = await made(dir);
    assert.equal(name, 'my-shop-2');
    const expected = ['odd, one.a.b+(c)', 'public.notes', 'public.orders', 'public.parted_low'];
    assert.deepEqual(tables, expected);
    assert.ok(checks.some((check) => check.name === 'wal_level' && check.ok));
    const text = await readFile(join(dir, 'connector.json'), 'utf8');
    const config = readConnectorConfig(JSON.parse(text), {
      POSTGRES_HOST: 'a',
      POSTGRES_PORT: '1',
      POSTGRES_USER: 'b',
      POSTGRES_PASSWORD: 'c',
      POSTGRES_DB: 'd',
    });
    assert.deepEqual([config.slot, config.topicPrefix], ['millrace_my_shop_2', 'my-shop-2']);
    assert.ok(config.tables.matches('odd, one', 'a.b+(c)'));
    assert.ok(!config.tables.matches('public', 'parted'));
    assert.match(
      await readFile(join(dir, 'streams/changes-per-minute.ts'), 'utf8'),
      /stream\(orders\)/,
    );
  });

  test('refuses a folder with files, and with --force leaves those of other names alone', async () => {
    await using dir = await folder();
    await writeFile(join(dir.path, 'pipeline.ts'), 'mine');
    await writeFile(join(dir.path, 'other.ts'), 'mine');
    await assert.rejects(made(dir.path), { code: 'usage' });
    assert.deepEqual((await readdir(dir.path)).toSorted(), ['other.ts', 'pipeline.ts']);
    await made(dir.path, { force: true });
    assert.equal(await readFile(join(dir.path, 'other.ts'), 'utf8'), 'mine');
    assert.match(await readFile(join(dir.path, 'pipeline.ts'), 'utf8'), /definePipeline/);
  });

  test('keeps the package.json that npm has left, and adds what is missing', async () => {
    await using dir = await folder();
    await mkdir(join(dir.path, 'node_modules'));
    const npm = {
      type: 'commonjs',
      scripts: { test: 'echo "Error: no test specified" && exit 1', mine: 'true' },
      dependencies: { millrace: 'file:millrace.tgz' },
    };
    await writeFile(join(dir.path, 'package.json'), JSON.stringify(npm));
    await made(dir.path, { name: 'mine' });
    const { type, name, scripts, dependencies } = JSON.parse(
      await readFile(join(dir.path, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>;
    assert.deepEqual([type, name], ['module', 'mine']);
    assert.deepEqual(dependencies, npm.dependencies);
    assert.deepEqual(scripts, {
      start: 'millrace up',
      test: 'node --test',
      check: 'tsc',
      typegen: 'millrace typegen',
      mine: 'true',
    });
  });

  test('writes nothing where something is wrong', async () => {
    await using parent = await folder();
    const dir = join(parent.path, 'new');
    await assert.rejects(made(dir, { name: 'Not so' }), { code: 'usage' });
    await assert.rejects(made(dir, { tables: ['nothing*'] }), { code: 'usage' });
    const away = { POSTGRES_HOST: '127.0.0.1', POSTGRES_PORT: '1', POSTGRES_DB: server.database };
    await assert.rejects(made(dir, { env: away }), { code: 'source_unreachable' });
    await assert.rejects(made(dir, { env: {} }), { code: 'not_running' });
    await writeFile(join(parent.path, 'file'), '');
    await assert.rejects(made(join(parent.path, 'file')), { code: 'usage' });
    assert.deepEqual(await readdir(parent.path), ['file']);
  });
});
