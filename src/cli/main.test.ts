import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempDisposable, readdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const MILLRACE = join(import.meta.dirname, 'millrace');
/** Kept between runs, as the user's own is. */
const COMPILE_CACHE = join(tmpdir(), 'millrace-compile-cache');

const millrace = (args: readonly string[], env?: Readonly<Record<string, string>>) =>
  run(MILLRACE, args, env);

async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-cli-'));
  const child = spawn(program, args, {
    cwd: folder.path,
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [code, out, err] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
  return { code, out, err };
}

test('wrong usage exits with 2 and says what is wrong', async () => {
  const wrong = [
    ['nope'],
    ['topics', '--nope'],
    ['capture'],
    ['consume', 'x', '--from', 'soon'],
    ['consume', 'x', '--follow', '--until-end'],
    ['dlq', 'replay'],
    ['reset', '--source'],
  ];
  for (const [args, { code, out, err }] of await Promise.all(
    wrong.map(async (each) => [each, await millrace(each)] as const),
  )) {
    assert.equal(code, 2, args.join(' '));
    assert.equal(out, '');
    assert.match(err, /^millrace: .+/);
  }
});

test('help and version exit with 0', async () => {
  assert.match((await millrace(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
  const { code, out } = await millrace(['consume', '--help']);
  assert.equal(code, 0);
  assert.match(out, /--data-dir[\s\S]*Examples:\n {2}\$ millrace consume/);
});

test('a folder without a pipeline exits with 78', async () => {
  const { code, err } = await millrace(['up', '--pipeline', 'nowhere']);
  assert.equal(code, 78);
  assert.match(err, /pipeline_invalid[\s\S]*nowhere/);
});

test('a bad environment exits with 78, and with --json the error is JSON', async () => {
  const { code, err } = await millrace(['topics', '--json'], { LOG_LEVEL: 'loud' });
  assert.equal(code, 78);
  const { error } = JSON.parse(err) as { error: { code: string; facts: { problems: string[] } } };
  assert.equal(error.code, 'config_invalid');
  assert.match(error.facts.problems.join(), /LOG_LEVEL/);
});

test('a folder without data is said to be one, and stays as it is', async () => {
  for (const command of ['topics', 'logs']) {
    const { code, out, err } = await millrace([command, '--json']);
    assert.deepEqual({ code, out }, { code: 69, out: '' });
    assert.match(err, /"code":"not_running"/);
  }
});

test('psql gets its own options; the process gets 16 libuv threads unless the user says how many', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-psql-'));
  const psql = '#!/bin/sh\necho "$UV_THREADPOOL_SIZE $*"\n';
  await writeFile(join(folder.path, 'psql'), psql, { mode: 0o755 });
  const env = { POSTGRES_HOST: 'db', PATH: `${folder.path}${delimiter}${process.env['PATH']}` };
  const [usual, own] = await Promise.all([
    millrace(['psql', '-c', 'select 1'], env),
    millrace(['psql'], { ...env, UV_THREADPOOL_SIZE: '7' }),
  ]);
  assert.equal(usual.out, '16 -h db -p 5432 -U postgres -d source_db -c select 1\n');
  assert.match(own.out, /^7 /);
});

test("keeps what Node compiles in the user's cache folder, unless told where, or there can be none", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-home-'));
  const psql = '#!/bin/sh\necho "$NODE_COMPILE_CACHE"\n';
  await writeFile(join(folder.path, 'psql'), psql, { mode: 0o755 });
  const told = async (env: Readonly<Record<string, string>>): Promise<string> => {
    const PATH = `${folder.path}${delimiter}${process.env['PATH']}`;
    const places = { POSTGRES_HOST: 'db', PATH, NODE_COMPILE_CACHE: '', ...env };
    return (await millrace(['psql'], places)).out;
  };
  const home = join(folder.path, 'home');
  await symlink(COMPILE_CACHE, join(folder.path, 'millrace'));
  assert.deepEqual(
    await Promise.all([
      told({ HOME: home }),
      told({ HOME: home, XDG_CACHE_HOME: folder.path }),
      told({ HOME: home, NODE_COMPILE_CACHE: COMPILE_CACHE }),
      told({ HOME: '/dev/null' }),
    ]),
    [`${home}/.cache/millrace\n`, `${folder.path}/millrace\n`, `${COMPILE_CACHE}\n`, '\n'],
  );
  assert.notEqual((await readdir(`${home}/.cache/millrace`)).length, 0);
});

test('a reader that goes away ends the command quietly', async () => {
  const script = '"$0" completion bash | true; exit "${PIPESTATUS[0]}"';
  const { code, err } = await run('bash', ['-c', script, MILLRACE]);
  assert.deepEqual({ code, err }, { code: 0, err: '' });
});
