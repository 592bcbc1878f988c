import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeBlock, type Header } from '../../domain/record-block.ts';
import { Outbox } from './outbox.ts';
import { causeAt, causesOf, decodeChunk } from './outgoing-chunk.ts';

const TASK = 'orders/shöp.orders-0';

/** What chunks hold, by partition, each record with its cause. */
function contents(chunks: readonly Uint8Array[]): unknown {
  const found: Record<string, unknown[]> = {};
  for (const chunk of chunks) {
    const { replay, parts } = decodeChunk(chunk);
    for (const { block, causes } of parts) {
      const records = decodeBlock(block.bytes, 0);
      assert.equal(records.length, block.count);
      for (const { offset: at, key, value, headers, timestampMs } of records) {
        const { offset, tick, index } = causeAt(causes, at);
        (found[`${block.topic}/${block.partition}`] ??= []).push({
          cause: replay === undefined ? [offset, tick, index] : [replay, index],
          key: key && Buffer.from(key).toString(),
          value: value && Buffer.from(value).toString(),
          headers,
          timestampMs,
        });
      }
    }
  }
  return found;
}

const text = fc.option(fc.string({ maxLength: 6 }));
const put = fc.record({
  topic: fc.constantFrom('a', 'b'),
  partition: fc.nat(2),
  key: text,
  value: fc.oneof(text, fc.constant('x'.repeat(400_000))),
  headers: fc.array(fc.tuple(fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 })), {
    maxLength: 1,
  }),
  asBytes: fc.boolean(),
});
const record = fc.record({
  /** 0: time that passed, not a record. */
  step: fc.nat(3),
  fails: fc.boolean(),
  puts: fc.array(put, { maxLength: 6 }),
});

describe('an outbox', () => {
  test('holds what was kept, by cause, whatever was undone', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 10 }), fc.option(fc.string()), (records, step) => {
        const outbox = new Outbox(TASK);
        for (let commit = 0; commit < 2; commit += 1) {
          if (step !== null) outbox.beginReplay(step);
          const expected: Record<string, unknown[]> = {};
          let [offset, tick, inStep] = [-1, 0, 0];
          for (const { step: by, fails, puts } of records) {
            offset += by;
            tick = by === 0 ? tick + 1 : 0;
            outbox.begin(offset, tick);
            for (const [index, each] of puts.entries()) {
              const { topic, partition, key, value, headers, asBytes } = each;
              const bytes = (part: string | null) =>
                asBytes && part !== null ? Buffer.from(part) : part;
              outbox.put(topic, partition, bytes(key), bytes(value), index, headers);
              if (fails) continue;
              const id = `${TASK}:${offset}${tick === 0 ? '' : `.${tick}`}:${index}`;
              const own: Header = ['millrace.id', id];
              (expected[`${topic}/${partition}`] ??= []).push({
                cause: step === null ? [offset, tick, index] : [step, inStep++],
                key,
                value,
                headers: [...headers, own],
                timestampMs: index,
              });
            }
            if (fails) outbox.undo();
            else outbox.keep();
          }
          assert.deepEqual(contents(outbox.seal()), expected);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('seals chunks of bounded size, each with causes that come after those of the one before', () => {
    const outbox = new Outbox(TASK);
    outbox.begin(1, 0);
    for (let n = 0; n < 70_000; n += 1) outbox.put('a', n % 3, null, null, 0, []);
    outbox.keep();
    const chunks = outbox.seal();
    assert.ok(chunks.length > 4);
    for (const chunk of chunks) assert.ok(chunk.length < 1.2e6, String(chunk.length));
    let next = 0;
    for (const { first, last } of chunks.map((chunk) => causesOf(decodeChunk(chunk)))) {
      assert.equal(first.index, next);
      next = last.index + 1;
    }
    assert.equal(next, 70_000);
  });

  test('goes on with the numbers of a cause that is kept in parts', () => {
    const outbox = new Outbox(TASK);
    const ids = (): string[] =>
      outbox
        .seal()
        .flatMap((chunk) =>
          decodeChunk(chunk).parts.flatMap(({ block }) =>
            decodeBlock(block.bytes, 0).map(({ headers }) => headers[0]?.[1] ?? ''),
          ),
        );
    for (const fails of [false, true, false]) {
      outbox.begin(12_345_678_901, 0);
      outbox.put('a', 0, null, null, 0, []);
      if (fails) outbox.undo();
      else outbox.keep();
    }
    outbox.begin(12_345_678_902, 0);
    for (let letters = 0; letters < 2; letters += 1) {
      outbox.put('a', 0, null, null, 0, [], true);
      outbox.keep();
    }
    assert.deepEqual(ids(), [
      `${TASK}:12345678901:0`,
      `${TASK}:12345678901:1`,
      `${TASK}:12345678902:dead-letter`,
      `${TASK}:12345678902:dead-letter-2`,
    ]);
  });
});
