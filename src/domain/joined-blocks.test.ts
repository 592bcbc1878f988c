import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { joinBlocks } from './joined-blocks.ts';
import { BlockWriter, decodeBlock, type RecordBlock } from './record-block.ts';

const record = fc.record({
  partition: fc.nat(1),
  value: fc.oneof(fc.string(), fc.constant('x'.repeat(100_000))),
  headers: fc.array(fc.tuple(fc.string({ maxLength: 2 }), fc.string({ maxLength: 2 })), {
    maxLength: 2,
  }),
});

test('joined blocks hold the same records, those of a partition in order', () => {
  fc.assert(
    fc.property(fc.array(fc.array(record, { minLength: 1 })), (groups) => {
      const blocks = groups.flatMap((group) =>
        [0, 1].map((partition) => {
          const writer = new BlockWriter(16);
          for (const { value, headers } of group.filter((each) => each.partition === partition)) {
            writer.add({ timestampMs: 1, key: null, value: Buffer.from(value), headers });
          }
          return writer.take('t', partition);
        }),
      );
      const joined = joinBlocks(blocks);
      for (const partition of [0, 1]) {
        assert.deepEqual(contents(joined, partition), contents(blocks, partition));
      }
      assert.ok(
        joined.every(
          ({ bytes }, at) => bytes.length < 300_000 || blocks.includes(joined[at] as RecordBlock),
        ),
      );
    }),
  );
});

test('small blocks of one partition become one', () => {
  const blocks = Array.from({ length: 50 }, (_, n) => {
    const writer = new BlockWriter(16);
    writer.add({ timestampMs: n, key: Buffer.from('k'), value: null, headers: [['n', `${n}`]] });
    return writer.take('t', 0);
  });
  assert.deepEqual(
    joinBlocks(blocks).map(({ count }) => count),
    [50],
  );
});

function contents(blocks: readonly RecordBlock[], partition: number): unknown[] {
  return blocks
    .filter((block) => block.partition === partition)
    .flatMap(({ bytes }) => decodeBlock(bytes, 0))
    .map(({ value, headers }) => [String(value), headers]);
}
