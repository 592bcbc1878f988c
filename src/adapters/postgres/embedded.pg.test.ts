import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { chmod, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { temporaryFolder } from '../../../test/postgres.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import { query } from './client.ts';
import { EmbeddedPostgres } from './embedded.ts';
import type { EmbeddedStep } from './embedded.ts';

const NEVER = new AbortController().signal;

let folder: string;
let dataDir: string;
before(async () => {
  folder = await temporaryFolder('millrace-embedded-');
  dataDir = join(folder, 'postgres');
});
after(async () => {
  await EmbeddedPostgres.removeData(dataDir);
  await rm(folder, { recursive: true });
});

type Options = Partial<Parameters<typeof EmbeddedPostgres.start>[0]>;

const start = (options: Options = {}, signal = NEVER): Promise<EmbeddedPostgres> =>
  EmbeddedPostgres.start(
    {
      dataDir,
      logFile: join(folder, 'logs', 'postgres.log'),
      database: 'source_db',
      user: 'postgres',
      ...options,
    },
    signal,
  );

const fails =
  (code: ErrorCode, says = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof MillraceError);
    assert.equal(error.code, code);
    assert.match(`${error.message} ${JSON.stringify(error.facts)}`, says);
    return true;
  };

async function kept(server: EmbeddedPostgres): Promise<string[]> {
  const rows = await query(server.connection, 'SELECT line FROM kept ORDER BY line');
  return rows.map(({ line }) => String(line));
}

/** Processes of a server end by themselves when they see that another was killed. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The processes of a server: they work in its folder. */
function processesOf(pid: number): number[] {
  const parentOf = (name: string): number => {
    try {
      return Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);
    } catch {
      return 0;
    }
  };
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return [pid, ...names.filter((name) => parentOf(name) === pid).map(Number)];
}

describe('EmbeddedPostgres', () => {
  beforeEach(async () => {
    if (existsSync(join(dataDir, 'data', 'PG_VERSION'))) return;
    await using server = await start();
    await query(
      server.connection,
      `CREATE TABLE kept (line text); INSERT INTO kept VALUES ('first')`,
    );
  });

  test('is ready for logical replication, on loopback and in UTC', async () => {
    await using server = await start();
    const [settings] = await query(
      server.connection,
      `SELECT current_setting('wal_level') wal_level, current_setting('listen_addresses') listens,
              current_setting('timezone') timezone, current_setting('fsync') fsync, current_user AS user,
              current_setting('max_slot_wal_keep_size') keeps, current_database() AS database`,
    );
    assert.deepEqual(settings, {
      wal_level: 'logical',
      listens: '127.0.0.1',
      timezone: 'UTC',
      fsync: 'on',
      keeps: '4GB',
      database: 'source_db',
      user: 'postgres',
    });
  });

  test('keeps data, password and port from one start to the next', async () => {
    const first = await start();
    await first.stop();
    await using second = await start();
    assert.deepEqual(second.connection, first.connection);
    assert.deepEqual(await kept(second), ['first']);
  });

  test('lets only the owner of the data directory read the password, and nobody in without it', async () => {
    await using server = await start();
    assert.equal((await stat(join(dataDir, 'postgres.json'))).mode & 0o777, 0o600);
    const wrong = { ...server.connection, password: 'wrong' };
    await assert.rejects(query(wrong, 'SELECT'), fails('source_login_failed'));
  });

  test('tells an end that was asked for from one that was not', async () => {
    const asked = await start();
    await asked.stop();
    assert.equal(await asked.ended, undefined);
    const killed = await start();
    process.kill(killed.pid, 'SIGKILL');
    assert.ok(fails('embedded_postgres_failed', /SIGKILL/)(await killed.ended));
  });

  test('has all that was committed after a kill -9 of the postmaster, of a busy child too', async () => {
    const server = await start();
    await query(server.connection, `INSERT INTO kept VALUES ('second')`);
    const busy = query(server.connection, 'SELECT count(*) FROM generate_series(1, 1000000000)');
    const lost = assert.rejects(busy);
    process.kill(server.pid, 'SIGKILL');
    await server.ended;
    await using again = await start();
    await lost;
    assert.deepEqual(await kept(again), ['first', 'second']);
  });

  test('has all that was committed after a kill -9 of all its processes', async () => {
    const server = await start();
    await query(server.connection, `INSERT INTO kept VALUES ('third')`);
    for (const pid of processesOf(server.pid)) killIfThere(pid);
    await server.ended;
    await using again = await start();
    assert.deepEqual(await kept(again), ['first', 'second', 'third']);
  });

  test('ends in order the server that a killed process of ours has left', async () => {
    const script = `
      const { EmbeddedPostgres } = await import(${JSON.stringify(new URL('embedded.ts', import.meta.url).href)});
      const options = ${JSON.stringify({ dataDir, logFile: join(folder, 'orphan.log'), database: 'source_db', user: 'postgres' })};
      const server = await EmbeddedPostgres.start(options, new AbortController().signal);
      console.log(server.pid);
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [printed] = (await once(owner.stdout, 'data')) as [Buffer];
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const steps: EmbeddedStep[] = [];
    await using server = await start({ onProgress: (step) => steps.push(step) });
    assert.deepEqual(steps, ['ending an earlier server', 'starting']);
    assert.notEqual(server.pid, Number(printed));
    assert.match(readFileSync(join(folder, 'orphan.log'), 'utf8'), /fast shutdown request/);
    assert.deepEqual(await kept(server), ['first', 'second', 'third']);
  });

  test('is not held up by a pid file whose number another program has now', async () => {
    writeFileSync(join(dataDir, 'data', 'postmaster.pid'), `${process.pid}\n${dataDir}/data\n`);
    await using server = await start();
    assert.equal((await kept(server)).length, 3);
  });

  test('takes another port when its own is taken, unless that one was demanded', async () => {
    const first = await start();
    await first.stop();
    const { port } = first.connection;
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    try {
      await assert.rejects(start({ port }), fails('port_in_use', new RegExp(`port ${port}`)));
      await using second = await start();
      assert.notEqual(second.connection.port, port);
    } finally {
      other.close();
    }
  });

  test('leaves no process behind when the start is given up', async () => {
    const giveUp = new AbortController();
    const onProgress = (step: EmbeddedStep): void => {
      if (step === 'starting') setImmediate(() => giveUp.abort());
    };
    await assert.rejects(start({ onProgress }, giveUp.signal), { name: 'AbortError' });
    assert.equal(existsSync(join(dataDir, 'data', 'postmaster.pid')), false);
  });

  test('says with its last words why it does not start', async () => {
    const file = join(dataDir, 'data', 'postgresql.auto.conf');
    const before = readFileSync(file);
    appendFileSync(file, 'no_such_setting = 1\n');
    await assert.rejects(start(), fails('embedded_postgres_failed', /no_such_setting/));
    writeFileSync(file, before);
  });

  test('refuses data of another major version, and names both', async () => {
    const file = join(dataDir, 'data', 'PG_VERSION');
    writeFileSync(file, '17\n');
    await assert.rejects(start(), fails('data_dir_version', /PostgreSQL 17.*PostgreSQL 18/));
    writeFileSync(file, '18\n');
  });

  test('refuses data whose password is lost', async () => {
    const file = join(dataDir, 'postgres.json');
    renameSync(file, `${file}.lost`);
    await assert.rejects(start(), fails('data_dir_unusable', /no postgres.json/));
    renameSync(`${file}.lost`, file);
  });

  test('refuses to remove as its own a folder that is not', async () => {
    const file = join(dataDir, 'postgres.json');
    const before = readFileSync(file);
    writeFileSync(
      file,
      JSON.stringify({ ...JSON.parse(String(before)), home: '/var/lib/millrace/../x' }),
    );
    await assert.rejects(EmbeddedPostgres.removeData(dataDir), fails('data_dir_unusable', /home/));
    writeFileSync(file, before);
  });

  test('refuses a data directory that cannot be made', async () => {
    writeFileSync(join(folder, 'file'), '');
    const options = { dataDir: join(folder, 'file', 'postgres') };
    await assert.rejects(start(options), fails('data_dir_unusable', /ENOTDIR/));
  });

  test('begins anew where the first start was cut off', async () => {
    const half = join(folder, 'half');
    const cut = new AbortController();
    const onProgress = (): unknown => setTimeout(() => cut.abort(), 100);
    await assert.rejects(start({ dataDir: half, onProgress }, cut.signal), { name: 'AbortError' });
    assert.equal(existsSync(join(half, 'data')), false);
    mkdirSync(join(half, 'initdb-left', 'data'), { recursive: true });
    await using server = await start({ dataDir: half });
    await query(server.connection, 'SELECT');
    assert.deepEqual(readdirSync(half), ['data', 'postgres.json', 'socket']);
  });

  test(
    'keeps data elsewhere, when root shuts others out of the directory, until it is removed',
    {
      skip: process.getuid?.() === 0 ? false : 'needs root',
    },
    async () => {
      const closed = join(folder, 'closed');
      mkdirSync(closed);
      await chmod(closed, 0o700);
      const server = await start({ dataDir: closed });
      await server.stop();
      const { home } = JSON.parse(readFileSync(join(closed, 'postgres.json'), 'utf8')) as {
        home: string;
      };
      assert.match(home, /^\/var\/lib\/millrace\//);
      assert.equal((await stat(join(home, 'data', 'PG_VERSION'))).isFile(), true);
      await EmbeddedPostgres.removeData(closed);
      assert.deepEqual([existsSync(home), existsSync(closed)], [false, false]);
    },
  );
});
