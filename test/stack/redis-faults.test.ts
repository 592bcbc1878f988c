import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { RedisAddress } from '../../src/adapters/redis/client.ts';
import { RedisStore } from '../../src/adapters/redis/store.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import type { Commit } from '../../src/ports/store.ts';
import { Relay } from '../relay.ts';
import { temporaryCertificate } from './servers/certificate.ts';
import { freePort } from './servers/free-port.ts';
import { temporaryRedis } from './servers/redis.ts';

const run = promisify(execFile);

type At = Readonly<{ host: string; port: number }>;

const cli = async ({ port }: { port: number }, ...command: string[]): Promise<string> =>
  (await run('redis-cli', ['-p', String(port), ...command])).stdout.trim();

/** The commit of `a` that follows `n` others. */
const numbered = (n: number): Commit => ({
  task: 'a',
  from: n === 0 ? {} : { t: n },
  to: { t: n + 1 },
  state: [['count', String(n + 1)]],
  served: [{ op: 'add', key: 'sum', amount: '1' }],
  outgoing: [],
});

/** Checks the code, what the server said and what to do. */
const failure =
  (code: string, said: RegExp, advice?: RegExp) =>
  (error: unknown): true => {
    assert.ok(error instanceof MillraceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(String(error.facts['said'] ?? error.facts['found']), said);
    if (advice !== undefined) assert.match(error.message, advice);
    return true;
  };

const MENDS_ITSELF = new Set(['store_unreachable', 'store_refuses_writes']);

/** Tries again for as long as the store says that this may help. */
async function reachable<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof MillraceError && MENDS_ITSELF.has(error.code))) throw error;
      await new Promise(setImmediate);
    }
  }
}

/** Asks until it fails by what does not mend itself. */
const nowFails = (store: RedisStore): Promise<never> =>
  reachable(async () => {
    for (;;) await store.offsets('a');
  });

describe('a server that changes while it is used', () => {
  test('is checked anew after each time of connecting', async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    const drop = () => cli(server, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await cli(server, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    await store.commit(numbered(0));
    await drop();
    await assert.rejects(nowFails(store), failure('store_unsuitable', /allkeys-lru/));
    await cli(server, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    assert.deepEqual(await reachable(() => store.offsets('a')), { t: 1 });

    await cli(server, 'SET', 'millrace:format', '999');
    await drop();
    await assert.rejects(nowFails(store), failure('store_unsuitable', /999/));
  });

  test('is refused where it is a replica that would lose what it takes', async () => {
    await using primary = await temporaryRedis();
    await using replica = await temporaryRedis({ 'replica-read-only': 'no' });
    await follow(replica, primary);
    await assert.rejects(RedisStore.open(replica), failure('store_unsuitable', /replica/));
  });

  test('that was emptied bears the format again after the first commit', async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    await store.commit(numbered(0));
    await cli(server, 'FLUSHALL');
    await assert.rejects(store.commit(numbered(1)), { code: 'commit_conflict' });
    await store.commit(numbered(0));
    assert.equal(await cli(server, 'GET', 'millrace:format'), '2');
  });

  test('that became a replica is left for the primary to which the address leads', async () => {
    await using one = await temporaryRedis();
    await using two = await temporaryRedis();
    const relay = new Relay(one);
    await using _ = relay;
    await relay.open();
    await using store = await RedisStore.open({ host: one.host, port: relay.port });
    await store.commit(numbered(0));
    await follow(two, one);
    await cli(two, 'REPLICAOF', 'NO', 'ONE');
    await cli(one, 'REPLICAOF', two.host, String(two.port));

    // The old primary keeps its connections; new ones lead to the new primary.
    relay.lead(two);
    await assert.rejects(
      store.commit(numbered(1)),
      failure('store_refuses_writes', /READONLY/, /REDIS_HOST must lead to the primary/),
    );
    await reachable(() => store.commit(numbered(1)));
    assert.equal(await cli(two, 'GET', 'sum'), '2');
  });

  test('that took over without the last writes has an earlier, whole commit', async () => {
    await using one = await temporaryRedis();
    await using two = await temporaryRedis();
    const relay = new Relay(one);
    await using _ = relay;
    await relay.open();
    await using store = await RedisStore.open({ host: one.host, port: relay.port });
    for (let n = 0; n < 3; n++) await store.commit(numbered(n));
    await follow(two, one);
    await cli(two, 'REPLICAOF', 'NO', 'ONE');
    for (let n = 3; n < 6; n++) await store.commit(numbered(n));
    await one.kill();
    await relay.close();
    relay.lead(two);
    await relay.open();
    await assert.rejects(
      reachable(() => store.commit(numbered(6))),
      { code: 'commit_conflict' },
    );
    assert.deepEqual(await store.offsets('a'), { t: 3 });
    assert.deepEqual(await store.get('sum', 0), { type: 'string', value: '3' });
  });

  test('that answers nothing is given up after a while, however much is asked', async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server, { silenceMs: 300 });
    await store.commit(numbered(0));
    server.pause();
    const asking = setInterval(() => void store.offsets('a').catch(() => undefined), 20);
    await assert.rejects(store.commit(numbered(1)), failure('store_unreachable', /didn't receive/));
    await assert.rejects(store.offsets('a'), { code: 'store_unreachable' });
    clearInterval(asking);
    await assert.rejects(
      RedisStore.open(server, { silenceMs: 300 }),
      failure('store_unreachable', /didn't receive/),
    );
    server.resume();
    const { t } = await reachable(() => store.offsets('a'));
    // What was sent before it stood still may have been obeyed afterwards.
    assert.ok(t === 1 || t === 2, String(t));
  });
});

describe('a server that is gone when the store is closed', () => {
  test('holds up nobody who asked for nothing', async () => {
    await using server = await temporaryRedis();
    const store = await RedisStore.open(server, { silenceMs: 300 });
    server.pause();
    // The client's own ping waits for its answer by then.
    await sleep(200);
    await store[Symbol.asyncDispose]();
    server.resume();
  });

  test('is waited for no longer than it would be otherwise', async () => {
    await using server = await temporaryRedis();
    const store = await RedisStore.open(server, { silenceMs: 300 });
    server.pause();
    const refused = assert.rejects(store.offsets('a'), { code: 'store_unreachable' });
    await new Promise(setImmediate);
    await store[Symbol.asyncDispose]();
    await refused;
    server.resume();
  });
});

describe('a server that refuses', () => {
  test('says so by name, and is used again once it is mended', async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    await store.commit(numbered(0));
    const set = (name: string, value: string) => cli(server, 'CONFIG', 'SET', name, value);
    for (const [broken, mended, code, said, advice] of [
      [
        () => set('maxmemory', '1'),
        () => set('maxmemory', '0'),
        'store_refuses_writes',
        /^OOM/,
        /raise maxmemory/,
      ],
      [
        () => set('min-replicas-to-write', '1'),
        () => set('min-replicas-to-write', '0'),
        'store_refuses_writes',
        /^NOREPLICAS/,
        /bring back the replicas/,
      ],
      [
        async () => {
          await set('save', '3600 1');
          await set('dbfilename', 'dump.rdb');
          await run('mkdir', [`${server.folder}/dump.rdb`]);
          await cli(server, 'BGSAVE');
          await until(async () =>
            (await cli(server, 'INFO', 'persistence')).includes('rdb_last_bgsave_status:err'),
          );
        },
        () => set('stop-writes-on-bgsave-error', 'no'),
        'store_refuses_writes',
        /^MISCONF/,
        /mostly the disk is full/,
      ],
      [
        () => cli(server, 'REPLICAOF', server.host, '1'),
        () => cli(server, 'REPLICAOF', 'NO', 'ONE'),
        'store_refuses_writes',
        /^READONLY/,
        /must lead to the primary/,
      ],
    ] as const) {
      await broken();
      const { t = 0 } = await store.offsets('a');
      // Whoever only reads is not concerned.
      {
        await using reader = await RedisStore.open(server);
        assert.deepEqual(await reader.offsets('a'), { t });
      }
      await assert.rejects(store.commit(numbered(t)), failure(code, said, advice));
      await mended();
      await reachable(() => store.commit(numbered(t)));
    }
  });

  test('is waited for while it reads its files', async () => {
    await using server = await temporaryRedis({
      'key-load-delay': '300',
      'loading-process-events-interval-bytes': '1024',
    });
    await using store = await RedisStore.open(server);
    await store.commit(numbered(0));
    const fill = "for n = 1, 5000 do redis.call('SET', 'filler:' .. n, string.rep('x', 100)) end";
    await cli(server, 'EVAL', fill, '0');
    await cli(server, 'SAVE');
    await server.kill();
    const restarted = server.restart();
    const refusals: unknown[] = [];
    const found = await reachable(() =>
      store.offsets('a').catch((error: unknown) => {
        refusals.push(error);
        throw error;
      }),
    );
    await restarted;
    assert.deepEqual(found, { t: 1 });
    const loading = refusals.find((error) => /LOADING/.test(String(error)));
    failure('store_unreachable', /^LOADING/, /wait until it has read its files/)(loading);
  });

  test('names what is wrong with the login, at the start and later', async () => {
    await using server = await temporaryRedis({
      user: [
        'shop',
        'on',
        '>secret',
        '~*',
        '+@read',
        '+@write',
        '+@scripting',
        '+@connection',
        '+info',
      ],
    });
    const { host, port } = server;
    const shop = { host, port, username: 'shop', password: 'secret' };
    await using store = await RedisStore.open(shop);
    await store.commit(numbered(0));

    const opening = (address: RedisAddress) => RedisStore.open(address);
    await assert.rejects(
      opening({ ...shop, password: 'wrong' }),
      failure('store_login_failed', /^WRONGPASS/, /correct REDIS_USERNAME/),
    );
    await cli(server, 'CONFIG', 'SET', 'requirepass', 'other');
    await assert.rejects(
      opening({ host, port }),
      failure('store_login_failed', /^NOAUTH/, /set REDIS_PASSWORD/),
    );
    const admin = ['-a', 'other', '--no-auth-warning', 'ACL', 'SETUSER', 'shop'];
    await cli(server, ...admin, '-zadd');
    await assert.rejects(
      store.commit(numbered(1)),
      failure('store_login_failed', /can't run this command/, /grant the user what it lacks/),
    );
    await cli(server, ...admin, '-evalsha', '-eval');
    await assert.rejects(
      store.commit(numbered(1)),
      failure('store_login_failed', /^NOPERM/, /grant the user what it lacks/),
    );
  });

  test('says whether it speaks TLS, where the client does the other', async () => {
    await using certificate = await temporaryCertificate();
    const tlsPort = await freePort();
    await using server = await temporaryRedis({
      'tls-port': String(tlsPort),
      'tls-cert-file': certificate.certificateFile,
      'tls-key-file': certificate.keyFile,
      'tls-auth-clients': 'no',
    });
    const tls = { caFile: certificate.certificateFile };
    const { host, port } = server;
    await assert.rejects(
      RedisStore.open({ host, port: tlsPort }),
      failure('store_login_failed', /./, /it speaks TLS on this port: set REDIS_TLS=true/),
    );
    await assert.rejects(
      RedisStore.open({ host, port, tls }, { silenceMs: 1000 }),
      failure('store_login_failed', /./, /it speaks plain on this port: set REDIS_TLS=false/),
    );
    await assert.rejects(RedisStore.open({ host, port: tlsPort, tls: { caFile: '/no/such' } }), {
      code: 'config_invalid',
    });
  });
});

/** Makes a server a replica of another, and waits until it has all. */
async function follow(replica: At, primary: At): Promise<void> {
  await cli(replica, 'REPLICAOF', primary.host, String(primary.port));
  await until(async () => (await cli(primary, 'WAIT', '1', '100')) === '1');
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise(setImmediate);
}
