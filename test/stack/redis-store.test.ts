import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { RedisStore } from '../../src/adapters/redis/store.ts';
import { addDecimals } from '../../src/domain/decimal.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import type { Commit, ServedWrite } from '../../src/ports/store.ts';
import { storeModel } from '../contracts/store-model.ts';
import { storeContract } from '../contracts/store.ts';
import { freePort } from './servers/free-port.ts';
import { temporaryRedis } from './servers/redis.ts';

const run = promisify(execFile);

const shared = await temporaryRedis();
after(() => shared[Symbol.asyncDispose]());

/** What `redis-cli` prints, by the line. */
const cli = async ({ port }: { port: number }, ...command: string[]): Promise<string[]> =>
  (await run('redis-cli', ['-p', String(port), ...command])).stdout.split('\n').slice(0, -1);

const openEmpty = async () => {
  await cli(shared, 'FLUSHALL');
  return RedisStore.open(shared);
};

storeContract('RedisStore', openEmpty);
storeModel('RedisStore', openEmpty);

const nothing: Omit<Commit, 'task'> = { from: {}, to: {}, state: [], served: [], outgoing: [] };
const serve = (...served: ServedWrite[]): Commit => ({ ...nothing, task: 'a', served });

/** The commit of `a` that follows `n` others. */
const numbered = (n: number): Commit => ({
  task: 'a',
  from: n === 0 ? {} : { t: n },
  to: { t: n + 1 },
  state: [
    ['count', String(n + 1)],
    [`row:${String(n).padStart(6, '0')}`, 'x'.repeat(n % 300)],
  ],
  served: [
    { op: 'add', key: 'sum', amount: '0.01' },
    { op: 'setAdd', key: 'set', member: String(n) },
  ],
  outgoing: [Buffer.of(255, n & 255)],
});

const failure =
  (code: string, facts: Record<string, unknown> = {}) =>
  (error: unknown) => {
    assert.ok(error instanceof MillraceError, String(error));
    assert.equal(error.code, code, error.message);
    for (const [name, value] of Object.entries(facts)) assert.equal(error.facts[name], value);
    return true;
  };

describe('RedisStore', () => {
  test('sums as `addDecimals` does, to the letter', async () => {
    await using store = await openEmpty();
    const digits = fc.stringMatching(/^[0-9]{1,24}$/);
    const decimal = fc
      .tuple(fc.constantFrom('', '-'), digits, fc.option(digits))
      .map(([sign, whole, rest]) => `${sign}${whole}${rest === null ? '' : `.${rest}`}`);
    const pairs = fc.sample(fc.tuple(decimal, decimal), 3000);
    await store.commit(
      serve(
        ...pairs.flatMap(([a, b], n): ServedWrite[] => [
          { op: 'put', key: String(n), value: a },
          { op: 'add', key: String(n), amount: b },
          { op: 'add', key: `zero:${n}`, amount: a },
          { op: 'add', key: `zero:${n}`, amount: a.startsWith('-') ? a.slice(1) : `-${a}` },
        ]),
      ),
    );
    for (const [n, [a, b]] of pairs.entries()) {
      const value = addDecimals(a, b);
      assert.deepEqual(await store.get(String(n), 0), { type: 'string', value }, `${a} + ${b}`);
      assert.deepEqual(await store.get(`zero:${n}`, 0), { type: 'string', value: '0' }, a);
    }
  });

  test('is read with redis-cli: served keys by their names, what it keeps by the task', async () => {
    await using store = await openEmpty();
    const expiresAtMs = Date.now() + 3_600_000;
    await store.commit(numbered(0));
    await store.commit({
      ...nothing,
      task: 'b',
      served: [{ op: 'put', key: 'order:1', value: '{"id":1}', expiresAtMs }],
    });
    assert.deepEqual(await cli(shared, 'GET', 'order:1'), ['{"id":1}']);
    assert.deepEqual(await cli(shared, 'PEXPIRETIME', 'order:1'), [String(expiresAtMs)]);
    assert.deepEqual(await cli(shared, 'GET', 'sum'), ['0.01']);
    assert.deepEqual(await cli(shared, 'SMEMBERS', 'set'), ['0']);
    assert.deepEqual(await cli(shared, 'HGETALL', 'millrace:offsets:a'), ['t', '1']);
    assert.deepEqual(await cli(shared, 'HGET', 'millrace:state:a', 'count'), ['1']);
    assert.deepEqual(await cli(shared, 'LLEN', 'millrace:outgoing:a'), ['1']);
  });

  test('keeps nothing of a task that was dropped but its sequence number', async () => {
    await using store = await openEmpty();
    await store.commit(numbered(0));
    await store.commit(serveFrom(1, { op: 'delete', key: 'sum' }, { op: 'delete', key: 'set' }));
    await store.dropTask('a');
    const left = (await cli(shared, 'KEYS', '*')).toSorted();
    assert.deepEqual(left, ['millrace:format', 'millrace:sequence:a']);
  });

  test('refuses a served key whose name is its own', async () => {
    await using store = await openEmpty();
    const write: ServedWrite = { op: 'delete', key: 'millrace:format' };
    await assert.rejects(store.commit(serve(write)), failure('served_write_refused'));
    assert.equal(await store.get('millrace:format', 0), undefined);
  });

  test('refuses writes to a key that expired by the clock until it is swept', async () => {
    await using store = await openEmpty();
    await store.commit(serve({ op: 'put', key: 'k', value: '1', expiresAtMs: 1 }));
    const add: ServedWrite = { op: 'add', key: 'k', amount: '1' };
    for (const op of ['setAdd', 'setRemove'] as const) {
      const write: ServedWrite = { op, key: 'k', member: 'm' };
      await assert.rejects(store.commit(serve(write)), failure('served_write_refused'));
    }
    await assert.rejects(store.commit(serve(add)), failure('served_write_refused', { key: 'k' }));
    assert.equal(await store.sweep(1), 1);
    await store.commit(serve(add));
    assert.deepEqual(await store.get('k', 0), { type: 'string', value: '1' });
  });

  test('sends many commands at once, and tells its size', async () => {
    await using store = await openEmpty();
    const state = Array.from({ length: 5000 }, (_, n) => [`k${n}`, String(n)] as const);
    await store.commit({ ...nothing, task: 'a', state });
    const keys = state.map(([key]) => key);
    const found = await Promise.all([store.getMany('a', keys), store.getMany('a', ['k7', 'no'])]);
    assert.deepEqual(found, [state.map(([, value]) => value), ['7', undefined]]);
    assert.ok(((await store.sizeBytes()) ?? 0) > 100_000);
  });

  test('goes on from an earlier, whole commit when a killed server lost the last ones', async () => {
    await using server = await temporaryRedis({ appendonly: 'no' });
    await using store = await RedisStore.open(server);
    for (let n = 0; n < 50; n++) await store.commit(numbered(n));
    await cli(server, 'SAVE');
    for (let n = 50; n < 80; n++) await store.commit(numbered(n));
    await server.kill();
    await assert.rejects(store.commit(numbered(80)), failure('store_unreachable'));
    await server.restart();

    await assert.rejects(
      reachable(() => store.commit(numbered(80))),
      failure('commit_conflict'),
    );
    assert.deepEqual(await store.offsets('a'), { t: 50 });
    assert.deepEqual(await store.getMany('a', ['count', 'row:000050']), ['50', undefined]);
    assert.equal((await Array.fromAsync(store.range('a', 'row:'))).length, 50);
    assert.deepEqual(await store.get('sum', 0), { type: 'string', value: '0.5' });
    assert.equal((await store.outgoing('a', 1000)).at(-1)?.sequence, 50);
    for (let n = 50; n < 80; n++) await store.commit(numbered(n));
    assert.deepEqual(await store.get('sum', 0), { type: 'string', value: '0.8' });
  });

  test('loses nothing that was committed when a server that flushes each write is killed', async () => {
    await using server = await temporaryRedis({ appendonly: 'yes', appendfsync: 'always' });
    await using store = await RedisStore.open(server);
    let told = 0;
    const load = (async () => {
      for (; ; told++) await store.commit(numbered(told));
    })();
    const ended = assert.rejects(load, failure('store_unreachable'));
    while (told < 100) await new Promise(setImmediate);
    await server.kill();
    await ended;
    await server.restart();
    const { t = 0 } = await reachable(() => store.offsets('a'));
    assert.ok(t === told || t === told + 1, `${t} committed, ${told} told`);
    assert.deepEqual(await store.getMany('a', ['count']), [String(t)]);
    const set = await store.get('set', 0);
    assert.equal(set?.type === 'set' && set.members.length, t);
    assert.equal((await store.outgoing('a', 1e6)).at(-1)?.sequence, t);
  });

  test('commits nothing when the memory is full, and goes on when there is room', async () => {
    await using server = await temporaryRedis({ maxmemory: '8mb' });
    await using store = await RedisStore.open(server);
    const full = (n: number): Commit => {
      const commit = numbered(n);
      return { ...commit, state: [...commit.state, [`big:${n}`, 'x'.repeat(100_000)]] };
    };
    let commits = 0;
    const fill = async () => {
      for (; commits < 1000; commits++) await store.commit(full(commits));
    };
    await assert.rejects(fill(), failure('store_refuses_writes'));
    assert.deepEqual(await store.offsets('a'), { t: commits });
    assert.deepEqual(await store.getMany('a', ['count', `big:${commits}`]), [
      String(commits),
      undefined,
    ]);
    assert.equal((await store.outgoing('a', 1000)).length, commits);
    await cli(server, 'CONFIG', 'SET', 'maxmemory', '64mb');
    await store.commit(full(commits));
    assert.deepEqual(await store.offsets('a'), { t: commits + 1 });
  });

  test('logs in as a user of the ACL, over TLS that it checks', async () => {
    const folder = shared.folder;
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject];
    await run('openssl', [...request, '-keyout', key, '-out', cert]);
    const port = await freePort();
    await using server = await temporaryRedis({
      'tls-port': String(port),
      'tls-cert-file': cert,
      'tls-key-file': key,
      'tls-auth-clients': 'no',
      user: ['shop', 'on', '>secret', '~*', '+@all'],
    });
    await cli(server, 'ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@read', '+@connection');
    const { host } = server;
    const shop = { host, port, username: 'shop', password: 'secret', tls: { caFile: cert } };
    {
      await using store = await RedisStore.open(shop);
      await store.commit(numbered(0));
      assert.deepEqual(await store.offsets('a'), { t: 1 });
    }
    const { tls: _, ...plain } = shop;
    for (const wrong of [
      { ...shop, password: 'wrong' },
      { ...shop, username: 'reader' },
      { ...shop, tls: {} },
    ]) {
      await assert.rejects(RedisStore.open(wrong), failure('store_login_failed'));
    }
    await assert.rejects(RedisStore.open(plain), failure('store_login_failed'));
    const caFile = join(folder, 'none');
    await assert.rejects(
      RedisStore.open({ ...shop, tls: { caFile } }),
      failure('config_invalid', { file: caFile }),
    );
  });

  test('says when nobody answers, and refuses a wrong password', async () => {
    const server = await temporaryRedis({ requirepass: 'secret' });
    await assert.rejects(RedisStore.open(server), failure('store_login_failed'));
    await server[Symbol.asyncDispose]();
    await assert.rejects(RedisStore.open(server), failure('store_unreachable'));
  });

  test('says why the connection does not come back, and ends without it', async () => {
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    await cli(server, 'CONFIG', 'SET', 'requirepass', 'new');
    const kill = ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'];
    await cli(server, '-a', 'new', '--no-auth-warning', ...kill);
    const asked = reachable(async () => {
      for (;;) await store.offsets('a');
    });
    await assert.rejects(asked, failure('store_login_failed'));
  });

  test('takes a name for its host, and says when nobody knows it or nobody answers', async () => {
    for (const [host, free] of [
      ['redis.invalid', 6379],
      ['localhost', await freePort()],
    ] as const) {
      await assert.rejects(RedisStore.open({ host, port: free }), failure('store_unreachable'));
    }
    const { port } = shared;
    await using store = await RedisStore.open({ host: 'localhost', port });
    assert.deepEqual(await store.offsets('no such task'), {});
  });

  test('refuses a cluster, a server that evicts, and the data of another version', async () => {
    {
      await using server = await temporaryRedis({ 'cluster-enabled': 'yes' });
      await assert.rejects(
        RedisStore.open(server),
        failure('store_unsuitable', { found: 'cluster mode' }),
      );
    }
    await using server = await temporaryRedis({ 'maxmemory-policy': 'allkeys-lru' });
    await assert.rejects(
      RedisStore.open(server),
      failure('store_unsuitable', { found: 'allkeys-lru' }),
    );
    await cli(server, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await cli(server, 'SET', 'millrace:format', '999');
    await assert.rejects(RedisStore.open(server), failure('store_unsuitable', { found: '999' }));
  });
});

const serveFrom = (n: number, ...served: ServedWrite[]): Commit => ({
  ...serve(...served),
  from: { t: n },
});

/** Tries again until the store has its connection back. */
async function reachable<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof MillraceError && error.code === 'store_unreachable')) throw error;
      await new Promise(setImmediate);
    }
  }
}
