import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Bell } from '../../lib/bell.ts';
import { LmdbEventLog } from './event-log.ts';
import { closeEnvironment, openEnvironment, transact } from './log-environment.ts';
import { LmdbStore } from './store.ts';

const ROUNDS = 2;
// As in the program.
const RETENTION = { ms: 3_600_000, bytes: 2 << 20 };

test('threads that write, roll, remove and open at once never wait for each other for ever', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-threads-'));
  const logDir = join(dir, 'log');
  const storeDir = join(dir, 'store');
  const wake = Bell.memory();
  try {
    await using log = await LmdbEventLog.open({ dir: logDir, wake, retention: RETENTION });
    await using store = await LmdbStore.open({ dir: storeDir });
    await log.createTopics([{ name: 'topic', partitions: 1, cleanup: 'delete' }]);
    const workerData = { logDir, storeDir, wake, rounds: ROUNDS };
    const names = ['a', 'b', 'c'];
    const wrote = await Promise.all(names.map((name) => run({ ...workerData, name })));
    const { end } = await log.offsets({ topic: 'topic', partition: 0 });
    assert.equal(
      end,
      wrote.reduce((sum, { appended }) => sum + appended, 0),
    );
    const newest = (await readdir(logDir))
      .filter((name) => name.endsWith('.mdb'))
      .toSorted()
      .at(-1);
    assert.ok(newest !== undefined && newest > '0000000001.mdb', 'segments were rolled');
    for (const [index, name] of names.entries()) {
      assert.ok(wrote[index]?.appended && wrote[index].committed);
      assert.deepEqual(await store.offsets(name), { 'topic-0': wrote[index].committed });
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a transaction that is under way keeps the next, in whatever file, from blocking the thread', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-threads-'));
  const [one, other] = [join(dir, 'one.mdb'), join(dir, 'other.mdb')];
  const ran: string[] = [];
  try {
    const aside = transact(openEnvironment(one, 1 << 20), () => ran.push('aside'), true);
    const small = transact(openEnvironment(other, 1 << 20), () => ran.push('small'), false);
    assert.equal(ran.length, 0, 'neither has begun when the call returns');
    await Promise.all([aside, small]);
    assert.deepEqual(ran.toSorted(), ['aside', 'small']);
    const alone = transact(openEnvironment(one, 1 << 20), () => ran.push('alone'), false);
    assert.equal(ran.at(-1), 'alone', 'with nothing under way it is done at once');
    await alone;
  } finally {
    for (const file of [one, one, other]) await closeEnvironment(file);
    await rm(dir, { recursive: true, force: true });
  }
});

async function run(workerData: object): Promise<{ appended: number; committed: number }> {
  const program = new URL('../../../test/programs/write-in-thread.ts', import.meta.url);
  const worker = new Worker(program, { workerData });
  const exited = once(worker, 'exit');
  const [wrote] = (await once(worker, 'message')) as [{ appended: number; committed: number }];
  await exited;
  return wrote;
}
