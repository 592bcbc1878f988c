import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeBlock } from '../../domain/record-block.ts';
import { type Appended, isTurnRepeated, notAppended, withAppended } from './appended.ts';
import { Outbox } from './outbox.ts';
import { decodeChunk, type OutgoingChunk } from './outgoing-chunk.ts';

const DEAD = 'dead';

type Out = readonly [offset: number, index?: number, topic?: string, tick?: number];

/** A chunk of one record for each, whose value says its cause. */
function chunk(outs: readonly Out[], replay?: string): OutgoingChunk {
  const outbox = new Outbox('p/t-0');
  if (replay !== undefined) outbox.beginReplay(replay);
  for (const [offset, index = 0, topic = 'alerts', tick = 0] of outs) {
    outbox.begin(offset, tick);
    const value = replay === undefined ? `${offset}.${tick}:${index}` : `${replay}:${index}`;
    outbox.put(topic, index % 2, null, value, 0, []);
  }
  outbox.keep();
  const [sealed = Buffer.alloc(0), ...more] = outbox.seal();
  assert.deepEqual(more, []);
  return decodeChunk(sealed);
}

const turn = (...outs: readonly Out[]) => chunk(outs);
const replay = (step: string, count = 1) =>
  chunk(
    Array.from({ length: count }, (_, index) => [7, index] as const),
    step,
  );
const upTo = (offset: number, index = 0, tick?: number): Appended => ({
  turn: tick === undefined ? { offset, index } : { offset, tick, index },
});

const left = (
  outgoing: readonly OutgoingChunk[],
  appended: Appended,
  parked: readonly number[] = [],
): string[] =>
  notAppended(outgoing, appended, { deadLetterTopic: DEAD, parked: new Set(parked) }).flatMap(
    ({ bytes }) => decodeBlock(bytes, 0).map(({ value }) => String(value)),
  );

describe('what is left to append', () => {
  test('is all that comes after the last one appended in turn', () => {
    const outgoing = [turn([3], [4, 0]), turn([4, 1]), turn([5], [5, 1], [5, 2]), turn([7])];
    assert.deepEqual(left(outgoing, upTo(5, 1)), ['5.0:2', '7.0:0']);
    assert.equal(left(outgoing, {}).length, 7);
    assert.deepEqual(left(outgoing, upTo(9)), []);
  });

  test('is appended as it is where none of its chunk was appended', () => {
    const [first, second] = [turn([3], [3, 1]), turn([4], [4, 1])];
    const found = notAppended([first, second], upTo(3, 1), {
      deadLetterTopic: DEAD,
      parked: new Set(),
    });
    assert.deepEqual(
      found,
      second.parts.map(({ block }) => block),
    );
  });

  test('comes after the ticks that followed the same record, in their order', () => {
    const outgoing = [
      turn([4], [4, 0, 'alerts', 1], [4, 1, 'alerts', 1], [4, 0, 'alerts', 2], [5]),
    ];
    assert.deepEqual(left(outgoing, upTo(4)).toSorted(), ['4.1:0', '4.1:1', '4.2:0', '5.0:0']);
    assert.deepEqual(left(outgoing, upTo(4, 0, 1)).toSorted(), ['4.1:1', '4.2:0', '5.0:0']);
    assert.deepEqual(left(outgoing, upTo(4, 7, 2)), ['5.0:0']);
  });

  test('is what an order put out, but for its steps that were appended, and those before', () => {
    const outgoing = [replay('a/1'), turn([9]), replay('b/2', 2), replay('c/3')];
    const appended = { ...upTo(9), replay: { replay: 'b/2', index: 0 } };
    assert.deepEqual(left(outgoing, appended), ['b/2:1', 'c/3:0']);
  });

  test('is all that orders put out, when the last one appended was forgotten', () => {
    const appended = { ...upTo(9), replay: { replay: 'lost/1', index: 0 } };
    assert.deepEqual(left([replay('again/1')], appended), ['again/1:0']);
  });

  test('is the output where a dead letter had been appended, not the dead letter', () => {
    const outgoing = [turn([3], [5, 0, DEAD], [6])];
    assert.deepEqual(left(outgoing, upTo(9), [5, 6]), ['6.0:0']);
    assert.ok(isTurnRepeated(outgoing, upTo(6)));
    assert.ok(!isTurnRepeated([turn([7]), replay('a/1')], upTo(6)));
    assert.ok(!isTurnRepeated(outgoing, {}));
  });
});

test('what is appended never goes back in turn, and names the last step', () => {
  const outgoing = [turn([6], [6, 1]), replay('a/1'), turn([2]), replay('b/2', 2)];
  const appended = withAppended(upTo(4), outgoing);
  assert.deepEqual(appended, {
    turn: { offset: 6, index: 1 },
    replay: { replay: 'b/2', index: 1 },
  });
  assert.deepEqual(withAppended(appended, outgoing), appended);
  assert.deepEqual(withAppended({ replay: { replay: 'b/2', index: 0 } }, outgoing), appended);
  assert.deepEqual(withAppended({}, [turn([3, 0, 'alerts', 2])]).turn, {
    offset: 3,
    tick: 2,
    index: 0,
  });
  assert.deepEqual(withAppended({}, []), {});
});
