import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';
import { temporaryFolder, temporaryPostgres } from './postgres.ts';
import { packed, USER_ENV } from './tarball.ts';

const ROOT = join(import.meta.dirname, '..');
const execute = promisify(execFile);

// The registry is asked in test/stack: these tests need nothing but Node.
test('the package works where it is installed: it writes a pipeline, checks it, runs it', async () => {
  const folder = await temporaryFolder('millrace-package-');
  try {
    const user = join(folder, 'user');
    await install(await packed(folder), user);
    assertHasRunner(join(user, 'node_modules/millrace/dist'));
    await tryInstalled(user);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** As npm would: the tarball, and of this checkout's packages those that are no development's. */
async function install(tarball: string, folder: string): Promise<void> {
  const modules = join(folder, 'node_modules');
  const own = join(modules, 'millrace');
  await mkdir(own, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', own]);
  await mkdir(join(modules, '.bin'));
  await symlink('../millrace/src/cli/millrace', join(modules, '.bin/millrace'));
  for (const name of dependencies()) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
}

/** Spark is not there to try it with. */
function assertHasRunner(dist: string): void {
  const scripts = globSync('src/adapters/spark/*.py', { cwd: ROOT });
  assert.ok(scripts.length > 0);
  for (const path of scripts) assert.ok(existsSync(join(dist, path)), path);
}

function dependencies(): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: true; optional?: true }>;
  };
  return Object.entries(packages)
    .filter(([path, { dev }]) => dev !== true && /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path))
    .map(([path]) => path.replace('node_modules/', ''));
}

/**
 * What a user does who has installed the package in a folder: has a pipeline written for a database,
 * has it checked and tested, runs it, and sees what the processor makes of a row; then the shop.
 */
async function tryInstalled(folder: string): Promise<void> {
  await using server = await temporaryPostgres();
  await using client = await PostgresClient.connect(server);
  await client.query(`
    create type mood as enum ('calm', 'can''t wait');
    create table visits (id bigint generated always as identity primary key, page text not null,
      at timestamptz not null default now(), mood mood, "odd name" numeric(10, 2) not null default 1,
      tags text[] not null default '{}');
    create table pages (path text primary key);
    create schema other;
    create table other.visits (id int primary key)`);
  const env = {
    POSTGRES_HOST: server.host,
    POSTGRES_PORT: String(server.port),
    POSTGRES_USER: server.user,
    POSTGRES_PASSWORD: server.password,
    POSTGRES_DB: server.database,
  };
  const at = { cwd: folder, env: { ...USER_ENV, ...env } };
  const millrace = join(folder, 'node_modules/.bin/millrace');

  const { stdout } = await execute(
    millrace,
    ['init', '--name', 'mine', '--tables', '*visits', '--json'],
    at,
  );
  const [made] = jsonLines(stdout);
  assert.deepEqual(made?.['tables'], ['other.visits', 'public.visits']);
  assert.deepEqual(made?.['files'], FILES);

  // The compiler and Node's types come with `npm install` in the new folder, from the registry.
  await mkdir(join(folder, 'node_modules/@types'), { recursive: true });
  for (const types of ['node', '../undici-types'])
    await symlink(
      join(ROOT, 'node_modules/@types', types),
      join(folder, 'node_modules/@types', types),
    );
  await execute(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], at);
  const tested = await execute(process.execPath, ['--test', '--test-reporter=tap'], {
    ...at,
    env: { ...at.env, NODE_TEST_CONTEXT: undefined },
  });
  assert.match(tested.stdout, /^# pass 2$/m);
  const models = await execute(millrace, ['model', 'test', '--unit', '--json'], at);
  assert.match(models.stdout, /"outcome":"passed"/);

  const main = join(folder, 'node_modules/millrace/dist/src/cli/main.js');
  {
    await using mine = await CommandLine.make({ main, env, pipelineDir: folder });
    const up = await mine.up();
    await client.query(`insert into visits (page) values ('/'), ('/about')`);
    await eventually('counted', async () => {
      const counts = await mine.ask('store.scan', { pattern: 'changes:*' });
      return counts.some((count) => 'value' in count && count.value === '2');
    });
    const found = jsonLines(await mine.succeed('store', 'scan', 'changes:*', '--json'));
    assert.ok(found.some(({ value }) => value === '2'));
    assert.match(String(found[0]?.['key']), /^changes:\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z:c$/);
    const captured = await mine.succeed('consume', 'mine.public.visits', '--json');
    assert.equal(jsonLines(captured).length, 2);
    assert.match(await mine.succeed('typegen', '--check'), /is what the database asks for/);
    await client.query('alter table visits add referrer text');
    const stale = await mine.run('typegen', '--check');
    assert.equal(stale.exitCode, 1);
    assert.match(stale.out, /expected referrer: string \| null;/);
    up.kill('SIGINT');
    assert.equal((await up.ended).exitCode, 0);
  }
  await using shop = await CommandLine.make({ main, env, pipelineDir: '' });
  const up = await shop.up('--demo', '--no-generator');
  await eventually('the shop processed', async () => {
    const products = await shop.ask('store.scan', { pattern: 'product:*' });
    return products.length === 5;
  });
  assert.equal(jsonLines(await shop.succeed('store', 'scan', 'product:*', '--json')).length, 5);
  up.kill('SIGINT');
  assert.equal((await up.ended).exitCode, 0);
}

const FILES = [
  '.env.example',
  '.gitignore',
  'README.md',
  'connector.json',
  'models/rows_per_day.sql',
  'models/rows_per_day.test.yaml',
  'package.json',
  'pipeline.ts',
  'streams/changes-per-minute.test.ts',
  'streams/changes-per-minute.ts',
  'tables.ts',
  'tsconfig.json',
];
