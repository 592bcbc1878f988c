import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { storeModel } from '../../../test/contracts/store-model.ts';
import { storeContract } from '../../../test/contracts/store.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { Commit, ServedWrite } from '../../ports/store.ts';
import { StoreTree } from './store-tree.ts';
import { LmdbStore } from './store.ts';

const folder = await mkdtemp(join(tmpdir(), 'millrace-store-'));
after(() => rm(folder, { recursive: true }));
const temporaryFolder = () => mkdtemp(join(folder, 'store-'));

const openEmpty = async () => LmdbStore.open({ dir: await temporaryFolder() });
storeContract('LmdbStore', openEmpty);
storeModel('LmdbStore', openEmpty);

/** The program of a thread or a process that has the store open, as `store`. */
const program = (dir: string, body: string) => `
  import { parentPort } from 'node:worker_threads';
  import { LmdbStore } from '${new URL('store.ts', import.meta.url).href}';
  const store = await LmdbStore.open({ dir: ${JSON.stringify(dir)} });
  const commit = (task, n) => store.commit({
    task, from: n === 0 ? {} : { t: n }, to: { t: n + 1 },
    state: [['count', String(n + 1)], ['row:' + n, 'x'.repeat(n % 3000)]],
    served: [
      { op: 'add', key: 'sum', amount: '0.01' },
      { op: 'setAdd', key: 'set', member: task + n },
      { op: 'put', key: 'last:' + task, value: String(n + 1), expiresAtMs: 1 + n },
    ],
    outgoing: [Buffer.of(255, n & 255)],
  });
  ${body}`;

const thread = (dir: string, body: string) =>
  new Worker(new URL(`data:text/javascript,${encodeURIComponent(program(dir, body))}`));

const nothing: Omit<Commit, 'task'> = { from: {}, to: {}, state: [], served: [], outgoing: [] };
const serve = (...served: ServedWrite[]): Commit => ({ ...nothing, task: 'a', served });

describe('LmdbStore', () => {
  test('is read by one thread as soon as another has committed', async () => {
    const dir = await temporaryFolder();
    await using store = await LmdbStore.open({ dir });
    const writer = thread(
      dir,
      `parentPort.on('message', async (n) => {
         if (n < 0) { await store[Symbol.asyncDispose](); parentPort.close(); return; }
         await commit('a', n);
         parentPort.postMessage(n);
       });
       parentPort.postMessage('ready');`,
    );
    await once(writer, 'message');
    for (let n = 0; n < 50; n++) {
      writer.postMessage(n);
      await once(writer, 'message');
      assert.deepEqual(await store.offsets('a'), { t: n + 1 });
      assert.deepEqual(await store.getMany('a', ['count']), [String(n + 1)]);
      assert.equal((await store.outgoing('a', 100)).length, n + 1);
    }
    writer.postMessage(-1);
    assert.deepEqual(await once(writer, 'exit'), [0]);

    // The thread has closed its part; this one goes on.
    assert.deepEqual(await store.offsets('a'), { t: 50 });
    await store.commit({ ...nothing, task: 'a', from: { t: 50 }, to: { t: 51 } });
    assert.deepEqual(await store.offsets('a'), { t: 51 });
  });

  test('takes commits of several threads at once, each whole', async () => {
    const dir = await temporaryFolder();
    await using store = await LmdbStore.open({ dir });
    const ends = ['a', 'b', 'c'].map((task) =>
      once(
        thread(
          dir,
          `for (let n = 0; n < 100; n++) await commit('${task}', n);
           await store[Symbol.asyncDispose]();`,
        ),
        'exit',
      ),
    );
    for (const end of ends) assert.deepEqual(await end, [0]);
    assert.deepEqual(await store.get('sum', 0), { type: 'string', value: '3' });
    const set = await store.get('set', 0);
    assert.equal(set?.type === 'set' && set.members.length, 300);
    for (const task of ['a', 'b', 'c']) assert.deepEqual(await store.offsets(task), { t: 100 });
  });

  test('loses nothing that was committed, and keeps nothing by halves, when it is killed', async () => {
    const dir = await temporaryFolder();
    let before = 0;
    for (const commitsSeen of [1, 20, 60]) {
      const child = spawn(
        process.execPath,
        [
          '--input-type=module',
          '--eval',
          program(
            dir,
            `for (let n = (await store.offsets('a')).t ?? 0; ; n++) {
           await commit('a', n);
           process.stdout.write(n + 1 + '\\n');
         }`,
          ),
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      let told = 0;
      let lines = 0;
      for await (const text of child.stdout.setEncoding('utf8')) {
        const complete = (text as string).split('\n').slice(0, -1).filter(Boolean);
        lines += complete.length;
        told = Number(complete.at(-1) ?? told);
        if (lines >= commitsSeen) child.kill('SIGKILL');
      }
      await using store = await LmdbStore.open({ dir });
      const { t = 0 } = await store.offsets('a');
      assert.ok(t >= told && told > before, `${t} committed, ${told} told, ${before} before`);
      assert.deepEqual(await store.getMany('a', ['count', `row:${t - 1}`, `row:${t}`]), [
        String(t),
        'x'.repeat((t - 1) % 3000),
        undefined,
      ]);
      assert.equal((await Array.fromAsync(store.range('a', 'row:'))).length, t);
      assert.deepEqual(await store.get('last:a', 0), {
        type: 'string',
        value: String(t),
        expiresAtMs: t,
      });
      assert.equal(Number(((await store.get('sum', 0)) as { value: string }).value), t / 100);
      const set = await store.get('set', 0);
      assert.equal(set?.type === 'set' && set.members.length, t);
      assert.equal((await store.outgoing('a', 1e6)).at(-1)?.sequence, t);
      before = t;
    }
  });

  test('survives being closed and opened again', async () => {
    const dir = await temporaryFolder();
    {
      await using store = await LmdbStore.open({ dir });
      await store.commit({ ...nothing, task: 'a', to: { t: 1 }, state: [['k', 'v']] });
    }
    await using store = await LmdbStore.open({ dir });
    assert.deepEqual(await store.offsets('a'), { t: 1 });
    assert.deepEqual(await store.getMany('a', ['k']), ['v']);
    assert.ok((await store.sizeBytes()) > 0);
  });

  test('removes what a deleted set held and what it knew of expiries, a part at each sweep', async () => {
    const dir = await temporaryFolder();
    {
      await using store = await LmdbStore.open({ dir });
      const members = Array.from({ length: 2500 }, (_, n) => String(n));
      await store.commit(
        serve(...members.map((member) => ({ op: 'setAdd', key: 's', member }) as const)),
      );
      await store.commit(serve({ op: 'delete', key: 's' }));
      const mortal = (expiresAtMs?: number) =>
        serve({
          op: 'put',
          key: 'k',
          value: 'v',
          ...(expiresAtMs !== undefined && { expiresAtMs }),
        });
      for (const expiry of [1000, 2000, undefined, 3000, 500]) await store.commit(mortal(expiry));
      await store.commit(serve({ op: 'delete', key: 'k' }));
      for (let sweeps = 0; sweeps < 4; sweeps++) await store.sweep(5000);
    }
    const tree = new StoreTree(dir);
    const left = tree.page({ prefix: '', limit: 10, keysOnly: true }).map(({ key }) => key);
    await tree.close();
    assert.deepEqual(left, ['f', 'n', 'ta']);
  });

  test('uses the space of overwritten entries again', async () => {
    await using store = await LmdbStore.open({ dir: await temporaryFolder() });
    const state = Array.from({ length: 100 }, (_, n) => [`k${n}`, 'x'.repeat(1000)] as const);
    const rounds = async (count: number) => {
      for (let n = 0; n < count; n++) await store.commit({ ...nothing, task: 'a', state });
      return store.sizeBytes();
    };
    const settled = await rounds(50);
    assert.ok((await rounds(150)) < 3 * settled);
  });

  test('commits nothing when the disk is full, and goes on when there is room', async (t) => {
    const mount = await temporaryFolder();
    try {
      execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=17m', 'tmpfs', mount], {
        stdio: 'ignore',
      });
    } catch {
      t.skip('may not mount a small file system here');
      return;
    }
    t.after(() => execFileSync('/bin/umount', ['--lazy', mount]));
    t.mock.method(console, 'error', () => {}); // lmdb-js prints the reason, too.
    await using store = await LmdbStore.open({ dir: join(mount, 'store') });
    let commits = 0;
    const fill = async () => {
      for (; commits < 10_000; commits++) {
        await store.commit({
          ...nothing,
          task: 'a',
          from: commits === 0 ? {} : { t: commits },
          to: { t: commits + 1 },
          state: [[`row:${commits}`, 'x'.repeat(20_000)]],
          served: [{ op: 'add', key: 'sum', amount: '1' }],
        });
      }
    };
    for (const size of ['18m', '19m']) {
      await assert.rejects(fill(), failure('disk_full'));
      await assert.rejects(fill(), failure('disk_full'));
      assert.deepEqual(await store.offsets('a'), { t: commits });
      assert.deepEqual(await store.get('sum', 0), { type: 'string', value: String(commits) });
      assert.equal((await Array.fromAsync(store.range('a', 'row:'))).length, commits);
      execFileSync('/bin/mount', ['-o', `remount,size=${size}`, mount]);
    }
    await store.commit({ ...nothing, task: 'a', from: { t: commits }, to: { t: 0 } });
    assert.deepEqual(await store.offsets('a'), { t: 0 });
  });

  test('refuses the data of another version, and a folder that it cannot use', async () => {
    const dir = await temporaryFolder();
    const tree = new StoreTree(dir);
    await tree.transaction((writer) => writer.put('f', '999'));
    await tree.close();
    await assert.rejects(LmdbStore.open({ dir }), failure('data_dir_version'));

    const file = join(await temporaryFolder(), 'a file');
    await writeFile(file, '');
    await assert.rejects(
      LmdbStore.open({ dir: join(file, 'store') }),
      failure('data_dir_unusable'),
    );
  });
});

const failure = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;
