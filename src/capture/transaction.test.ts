import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseLsn } from '../domain/lsn.ts';
import { TransactionTracker } from './transaction.ts';

const at = (n: number) => parseLsn(`0/${n.toString(16)}`);

describe('TransactionTracker', () => {
  test('skips, after a restart anywhere, exactly the messages that are in the log', () => {
    const transaction = fc.array(fc.constantFrom<Kind>('data', 'logical'), { maxLength: 5 });
    const history = fc.array(fc.oneof(transaction, fc.constant('alone' as const)), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(history, fc.nat(40), (transactions, cutAfter) => {
        const before = play(new TransactionTracker(at(0), undefined), transactions, 0, cutAfter);
        const after = new TransactionTracker(before.tracker.end, before.tracker.place);
        const rest = play(
          after,
          transactions,
          Number(before.tracker.end),
          Number.POSITIVE_INFINITY,
        );
        assert.deepEqual([...before.taken, ...rest.taken], all(transactions));
      }),
    );
  });

  test('tells which transactions came last, those of long ago left out', () => {
    const tracker = new TransactionTracker(at(0), undefined);
    assert.deepEqual(tracker.recent(), []);
    tracker.begin(0, 10, 0, 7);
    tracker.commit(at(11));
    tracker.begin(0, 20, 0, 8);
    assert.deepEqual(tracker.recent(), [7, 8]);
    tracker.commit(at(21));
    tracker.begin(1, 0, 0, 9); // four gigabytes on
    assert.deepEqual(tracker.recent(), [9]);
    for (let xid = 10; xid < 3000; xid += 1) tracker.begin(1, xid, 0, xid);
    const recent = tracker.recent();
    assert.ok(recent.length < 3000 && recent.includes(2999) && !recent.includes(10));
  });

  test('a keepalive moves the end on, but not inside a transaction', () => {
    const tracker = new TransactionTracker(at(1), undefined);
    assert.equal(tracker.keepalive(at(9)), true);
    tracker.begin(0, 20, 0, 7);
    assert.equal(tracker.keepalive(at(15)), false);
    assert.equal(tracker.end, at(9));
  });

  test('a keepalive does not move past a transaction of which the log holds a part', () => {
    const tracker = new TransactionTracker(at(1), { finalLsn: at(20), messages: 2 });
    assert.equal(tracker.keepalive(at(30)), false);
    assert.deepEqual(tracker.place, { finalLsn: at(20), messages: 2 });
  });

  test('a transaction that is in the log already does not make it forget that', () => {
    const tracker = new TransactionTracker(at(10), { finalLsn: at(20), messages: 1 });
    tracker.begin(0, 5, 0, 7);
    assert.equal(tracker.next(), false);
    assert.deepEqual(tracker.place, { finalLsn: at(20), messages: 1 });
    tracker.commit(at(6));
    tracker.begin(0, 20, 0, 8);
    assert.deepEqual([tracker.next(), tracker.next()], [false, true]);
  });

  test('goes on, inside a transaction, from a position that counts no logical messages', () => {
    const tracker = new TransactionTracker(at(1), { finalLsn: at(20), messages: 2 });
    tracker.begin(0, 20, 0, 7);
    assert.equal(tracker.nextLogical(), true);
    assert.deepEqual([tracker.next(), tracker.next(), tracker.next()], [false, false, true]);
    assert.deepEqual(tracker.place, { finalLsn: at(20), messages: 3, logical: 1 });
  });

  test('a message of no transaction moves the end on, and stands for a commit in what follows', () => {
    const tracker = new TransactionTracker(at(1), undefined);
    tracker.begin(0, 10, 5, 7);
    tracker.commit(at(11));
    assert.deepEqual([tracker.alone(at(12)), tracker.alone(at(12))], [true, false]);
    assert.equal(tracker.end, at(12));
    const origin = { timeUs: 5, snapshot: 'false', previousCommit: 12 };
    assert.deepEqual(tracker.origin, { ...origin, txId: null });
    tracker.begin(0, 20, 5, 8);
    assert.deepEqual(tracker.origin, { ...origin, txId: 8 });
  });

  test('another transaction than the one the log holds a part of is refused', () => {
    const tracker = new TransactionTracker(at(1), { finalLsn: at(20), messages: 2 });
    assert.throws(() => tracker.begin(0, 40, 0, 7), { code: 'log_behind_slot' });
  });
});

type Kind = 'data' | 'logical';
/** The messages of a transaction, or a logical one of none. */
type History = readonly (readonly Kind[] | 'alone')[];

/** Each transaction `i` commits at 10i+8, and it or the message alone ends at 10i+10. Stops after `cut` messages. */
function play(tracker: TransactionTracker, history: History, from: number, cut: number) {
  const taken: string[] = [];
  let seen = 0;
  for (const [index, messages] of history.entries()) {
    if (10 * index + 10 <= from) continue; // the server does not send these again
    if (seen >= cut) break;
    if (messages === 'alone') {
      seen += 1;
      if (tracker.alone(at(10 * index + 10))) taken.push(`${index}`);
      continue;
    }
    tracker.begin(0, 10 * index + 8, 0, index);
    for (const [nth, kind] of messages.entries()) {
      if (seen >= cut) return { tracker, taken };
      seen += 1;
      const isNew = kind === 'data' ? tracker.next() : tracker.nextLogical();
      if (isNew) taken.push(`${index}.${nth}`);
    }
    tracker.commit(at(10 * index + 10));
  }
  return { tracker, taken };
}

function all(history: History): string[] {
  return history.flatMap((messages, index) =>
    messages === 'alone' ? [`${index}`] : messages.map((_, nth) => `${index}.${nth}`),
  );
}
