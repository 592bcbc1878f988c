import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GroupMembers } from './group-members.ts';

const topic = (name: string, partitions: number) =>
  Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }));
const names = (assignment: unknown) =>
  (assignment as { topic: string; partition: number }[]).map(
    (each) => `${each.topic}${each.partition}`,
  );

describe('GroupMembers', () => {
  test('gives equal partitions of different topics to one member', async () => {
    const groups = new GroupMembers();
    const { signal } = new AbortController();
    const both = [...topic('a', 3), ...topic('b', 3)];
    const one = groups.join('g', both, signal);
    assert.deepEqual(names((await one.next()).value), ['a0', 'a1', 'a2', 'b0', 'b1', 'b2']);
    const two = groups.join('g', both, signal);
    assert.deepEqual(names((await two.next()).value), ['a1', 'b1']);
    assert.deepEqual(names((await one.next()).value), ['a0', 'a2', 'b0', 'b2']);
  });

  test('shares a topic only among those who ask for it', async () => {
    const groups = new GroupMembers();
    const { signal } = new AbortController();
    await groups.join('g', topic('a', 2), signal).next();
    const two = groups.join('g', topic('b', 2), signal);
    assert.deepEqual(names((await two.next()).value), ['b0', 'b1']);
  });

  test('a member that breaks off leaves, even before it asks again', async () => {
    const groups = new GroupMembers();
    const leaving = new AbortController();
    const one = groups.join('g', topic('a', 1), leaving.signal);
    assert.deepEqual(names((await one.next()).value), ['a0']);
    const two = groups.join('g', topic('a', 1), new AbortController().signal);
    assert.deepEqual(names((await two.next()).value), []);
    leaving.abort();
    assert.deepEqual(names((await two.next()).value), ['a0']);
    assert.equal((await one.next()).done, true);
  });
});
