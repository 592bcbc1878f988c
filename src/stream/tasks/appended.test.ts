import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Cause, OutgoingRecord } from '../../ports/store.ts';
import { type Appended, isTurnRepeated, notAppended, withAppended } from './appended.ts';

const DEAD = 'dead';

const out = (cause: Cause, topic = 'alerts'): { record: OutgoingRecord } => ({
  record: { cause, topic, partition: 0, key: null, value: null, headers: [], timestampMs: 0 },
});
const turn = (offset: number, index = 0) => out({ offset, index });
const replay = (step: string, index = 0) => out({ replay: step, index });
const upTo = (offset: number, index = 0): Appended => ({ turn: { offset, index } });

const left = (
  outgoing: readonly { record: OutgoingRecord }[],
  appended: Appended,
  parked: readonly number[] = [],
): Cause[] =>
  notAppended(outgoing, appended, { deadLetterTopic: DEAD, parked: new Set(parked) }).map(
    ({ record }) => record.cause,
  );

describe('what is left to append', () => {
  test('is all that comes after the last one appended in turn', () => {
    const outgoing = [turn(3), turn(4, 0), turn(4, 1), turn(4, 2), turn(7)];
    assert.deepEqual(left(outgoing, upTo(4, 1)), [
      { offset: 4, index: 2 },
      { offset: 7, index: 0 },
    ]);
    assert.equal(left(outgoing, {}).length, 5);
    assert.deepEqual(left(outgoing, upTo(9)), []);
  });

  test('is what an order put out, but for its steps that were appended, and those before', () => {
    const outgoing = [replay('a/1'), turn(9), replay('b/2', 0), replay('b/2', 1), replay('c/3')];
    const appended = { ...upTo(9), replay: { replay: 'b/2', index: 0 } };
    assert.deepEqual(left(outgoing, appended), [
      { replay: 'b/2', index: 1 },
      { replay: 'c/3', index: 0 },
    ]);
  });

  test('is all that orders put out, when the last one appended was forgotten', () => {
    const appended = { ...upTo(9), replay: { replay: 'lost/1', index: 0 } };
    assert.deepEqual(left([replay('again/1')], appended), [{ replay: 'again/1', index: 0 }]);
  });

  test('is the output where a dead letter had been appended, not the dead letter', () => {
    const outgoing = [turn(3), out({ offset: 5, index: 0 }, DEAD), turn(6)];
    assert.deepEqual(left(outgoing, upTo(9), [5, 6]), [{ offset: 6, index: 0 }]);
    assert.ok(isTurnRepeated(outgoing, upTo(6)));
    assert.ok(!isTurnRepeated([turn(7), replay('a/1')], upTo(6)));
  });
});

test('what is appended never goes back in turn, and names the last step', () => {
  const appended = withAppended(upTo(4), [turn(6, 1), replay('a/1'), turn(2), replay('b/2')]);
  assert.deepEqual(appended, {
    turn: { offset: 6, index: 1 },
    replay: { replay: 'b/2', index: 0 },
  });
  assert.deepEqual(withAppended({}, []), {});
});
