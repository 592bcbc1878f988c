import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';
import { temporaryPostgres } from './postgres.ts';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

/** The Node that runs the tests is the one that a user of the package has. */
const ENV = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
};

/** Makes the tarball, and resolves to its path. */
export async function packed(folder: string): Promise<string> {
  const command = ['pack', '--silent', '--pack-destination', folder];
  const { stdout } = await run('npm', command, { cwd: ROOT, env: ENV });
  return join(folder, stdout.trim());
}

/**
 * What a user does who has installed the package in a folder: has a pipeline written for a database,
 * has it checked and tested, runs it, and sees what the processor makes of a row; then the shop.
 */
export async function tryInstalled(folder: string): Promise<void> {
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
  const at = { cwd: folder, env: { ...ENV, ...env } };
  const millrace = join(folder, 'node_modules/.bin/millrace');

  const { stdout } = await run(
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
  await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], at);
  const tested = await run(process.execPath, ['--test', '--test-reporter=tap'], {
    ...at,
    env: { ...at.env, NODE_TEST_CONTEXT: undefined },
  });
  assert.match(tested.stdout, /^# pass 2$/m);

  const main = join(folder, 'node_modules/millrace/dist/src/cli/main.js');
  {
    await using mine = await CommandLine.make({ main, env, pipelineDir: folder });
    const up = await mine.up();
    await client.query(`insert into visits (page) values ('/'), ('/about')`);
    let found: Record<string, unknown>[] = [];
    await eventually('counted', async () => {
      found = jsonLines(await mine.succeed('store', 'scan', 'changes:*', '--json'));
      return found.some(({ value }) => value === '2');
    });
    assert.match(String(found[0]?.['key']), /^changes:\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z:c$/);
    const captured = await mine.succeed('consume', 'mine.public.visits', '--json');
    assert.equal(jsonLines(captured).length, 2);
    assert.match(await mine.succeed('typegen', '--check'), /is what the database asks for/);
    up.kill('SIGINT');
    assert.equal((await up.ended).exitCode, 0);
  }
  await using shop = await CommandLine.make({ main, env, pipelineDir: '' });
  const up = await shop.up('--demo', '--no-generator');
  await eventually('the shop processed', async () => {
    const keys = await shop.succeed('store', 'scan', 'product:*', '--json');
    return jsonLines(keys).length === 5;
  });
  up.kill('SIGINT');
  assert.equal((await up.ended).exitCode, 0);
}

const FILES = [
  '.env.example',
  '.gitignore',
  'README.md',
  'connector.json',
  'package.json',
  'pipeline.ts',
  'streams/changes-per-minute.test.ts',
  'streams/changes-per-minute.ts',
  'tables.ts',
  'tsconfig.json',
];
