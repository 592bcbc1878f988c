import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import type { Lsn } from '../../domain/lsn.ts';
import type { Slot, SourceIdentity } from '../../ports/change-source.ts';
import { decideBeginning, offsetAt, positionIn } from './position.ts';

const at = (lsn: number) => BigInt(lsn) as Lsn;

const server: SourceIdentity = {
  systemId: '1',
  timeline: 1,
  database: 'shop',
  serverVersion: 180000,
  walEnd: at(1000),
};

const slotAt = (lsn: number, over: Partial<Slot> = {}): Slot => ({
  plugin: 'pgoutput',
  database: 'shop',
  active: false,
  confirmedFlush: at(lsn),
  restartLsn: at(1),
  walStatus: 'reserved',
  retainedBytes: 0,
  lagBytes: 0,
  ...over,
});

const stored = (lsn: number, isCopying = false) => ({ lsn: at(lsn), isCopying });

const decide = (over: Partial<Parameters<typeof decideBeginning>[0]>) =>
  decideBeginning({
    stored: undefined,
    slot: undefined,
    server,
    slotName: 's',
    hasRun: false,
    adoptSlot: false,
    ...over,
  });

const code = (over: Parameters<typeof decide>[0]) => {
  try {
    return decide(over).how;
  } catch (error) {
    assert.ok(error instanceof MillraceError);
    return error.code;
  }
};

describe('decideBeginning', () => {
  test('begins afresh without a slot, also where a first copy never came to its end', () => {
    assert.equal(code({}), 'afresh');
    assert.equal(code({ stored: stored(5, true) }), 'afresh');
  });

  test('goes on where Connect has stored at least what the slot was confirmed to', () => {
    assert.equal(code({ stored: stored(5), slot: slotAt(5) }), 'go on');
    assert.equal(code({ stored: stored(6), slot: slotAt(5), adoptSlot: true }), 'go on');
    assert.equal(code({ stored: stored(6), slot: slotAt(5, { active: true }) }), 'go on');
  });

  test('adopts a slot that somebody else has read from, when told so, and else refuses', () => {
    const adopt = { how: 'adopt', from: at(5) };
    assert.deepEqual(decide({ slot: slotAt(5), adoptSlot: true }), adopt);
    assert.deepEqual(decide({ slot: slotAt(5), stored: stored(4), adoptSlot: true }), adopt);
    assert.equal(code({ slot: slotAt(5) }), 'slot_exists');
    assert.equal(code({ slot: slotAt(5), stored: stored(4) }), 'log_behind_slot');
  });

  test('leaves a connector that ran without a position to the slot of its own first copy', () => {
    assert.equal(code({ slot: slotAt(5), hasRun: true }), 'afresh');
    assert.equal(code({ slot: slotAt(5), hasRun: true, adoptSlot: true }), 'afresh');
  });

  test('refuses where changes are gone, or the slot is not for this', () => {
    assert.equal(code({ stored: stored(5) }), 'slot_missing');
    assert.equal(code({ stored: stored(5), slot: slotAt(5, { walStatus: 'lost' }) }), 'slot_lost');
    assert.equal(
      code({ stored: stored(5), slot: slotAt(5, { plugin: 'wal2json' }) }),
      'slot_exists',
    );
    assert.equal(code({ slot: slotAt(5, { database: 'x' }), adoptSlot: true }), 'slot_exists');
  });
});

describe('positionIn', () => {
  const of = (offset: Record<string, unknown> | null) =>
    positionIn([{ partition: { server: 'p' }, offset }], 'p');

  test('is the furthest that Debezium may confirm', () => {
    const streaming = { lsn: 7, lsn_proc: 7, lsn_commit: 9, txId: 1 };
    assert.deepEqual(of(streaming), stored(9));
    assert.deepEqual(of({ lsn: 7 }), stored(7));
    assert.equal(of(null), undefined);
    assert.equal(positionIn([], 'p'), undefined);
    assert.equal(positionIn([{ partition: { server: 'q' }, offset: streaming }], 'p'), undefined);
  });

  test('tells a first copy from one beside the stream', () => {
    const first = { lsn: 7, snapshot: 'INITIAL', snapshot_completed: false };
    assert.deepEqual(of(first), stored(7, true));
    assert.deepEqual(of({ ...first, snapshot_completed: true }), stored(7));
    assert.deepEqual(of({ ...first, snapshot: 'INCREMENTAL' }), stored(7));
  });

  test('gives back what was stored for an adopted slot, in which no change counts as written', () => {
    const offset = offsetAt(at(7), 'p');
    assert.deepEqual(positionIn([offset], 'p'), stored(7));
    assert.deepEqual(offset.offset, { lsn: 7 });
  });
});
