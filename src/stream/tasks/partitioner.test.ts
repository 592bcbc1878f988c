import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Partitioner } from './partitioner.ts';

const partitioner = new Partitioner(
  new Map([
    ['one', 1],
    ['many', 16],
  ]),
);

test("keys go where Kafka's default partitioner puts them", () => {
  // murmur2 of '21' is -973932308: its sign bit is cleared, not its sign changed.
  assert.equal(partitioner.partitionOf('many', '21', 0), (-973932308 & 0x7fffffff) % 16);
  assert.equal(partitioner.partitionOf('one', '21', 5), 0);
});

test('records without a key follow the partition that caused them', () => {
  assert.equal(partitioner.partitionOf('many', null, 18), 2);
});

test('a partition asked for is taken, if it exists', () => {
  assert.equal(partitioner.partitionOf('many', '21', 0, 7), 7);
  assert.throws(() => partitioner.partitionOf('many', '21', 0, 16), { code: 'topic_missing' });
  assert.throws(() => partitioner.partitionOf('none', '21', 0), { code: 'topic_missing' });
});
