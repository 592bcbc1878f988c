import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CommitQueue, type Share } from './commit-queue.ts';

const share = (records: number): Share => ({ records, bytes: records * 10 });

/** A store that takes a commit when told to. */
function slowStore() {
  const commits: { records: number; end: (error?: Error) => void }[] = [];
  const queue = new CommitQueue(
    ({ records }) =>
      new Promise((resolve, reject) => {
        commits.push({ records, end: (error) => (error ? reject(error) : resolve()) });
      }),
    () => undefined,
  );
  const sizes = () => commits.map(({ records }) => records);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { queue, commits, sizes, turn };
}

describe('CommitQueue', () => {
  test('commits at once when nothing is under way', () => {
    const { queue, sizes } = slowStore();
    queue.begin();
    queue.done(share(1));
    assert.deepEqual(sizes(), [1]);
  });

  test('gathers what is done while a commit is under way into the next', async () => {
    const { queue, commits, sizes, turn } = slowStore();
    for (const records of [1, 2, 3]) queue.done(share(records));
    assert.deepEqual(sizes(), [1]);
    commits[0]?.end();
    await turn();
    assert.deepEqual(sizes(), [1, 5]);
  });

  test('never commits what is not whole', async () => {
    const { queue, commits, sizes, turn } = slowStore();
    queue.done(share(1));
    queue.done(share(2));
    queue.begin();
    commits[0]?.end();
    await turn();
    assert.deepEqual(sizes(), [1]);
    queue.done(share(3));
    assert.deepEqual(sizes(), [1, 5]);
  });

  test('makes the caller wait when the next commit would grow beyond its limit', async () => {
    const { queue, commits, turn } = slowStore();
    queue.done(share(1));
    queue.done(share(4));
    let hasRoom = false;
    const waiting = queue.room(share(2), share(5)).then(() => (hasRoom = true));
    await turn();
    assert.equal(hasRoom, false);
    commits[0]?.end();
    await waiting;
  });

  test('after a failure commits nothing more, and tells it', async () => {
    const { queue, commits, sizes } = slowStore();
    queue.done(share(1));
    queue.done(share(2));
    commits[0]?.end(new Error('refused'));
    await queue.settled();
    assert.deepEqual(sizes(), [1]);
    assert.throws(() => queue.check(), /refused/);
  });

  test('is settled once all that is whole is committed', async () => {
    const { queue, commits, sizes, turn } = slowStore();
    queue.done(share(1));
    queue.done(share(2));
    const settled = queue.settled();
    commits[0]?.end();
    await turn();
    commits[1]?.end();
    await settled;
    assert.deepEqual(sizes(), [1, 2]);
  });
});
