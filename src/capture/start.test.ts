import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLsn } from '../domain/lsn.ts';
import type { Position } from '../domain/position.ts';
import type { Slot, SourceIdentity } from '../ports/change-source.ts';
import { decideStart } from './start.ts';

const server: SourceIdentity = {
  systemId: '7',
  timeline: 1,
  database: 'd',
  serverVersion: 180000,
  walEnd: parseLsn('0/90'),
};
const slot = (over: Partial<Slot> = {}): Slot => ({
  plugin: 'pgoutput',
  database: 'd',
  active: false,
  confirmedFlush: parseLsn('0/50'),
  restartLsn: parseLsn('0/40'),
  walStatus: 'reserved',
  retainedBytes: 0,
  lagBytes: 0,
  ...over,
});
const position = (end: string | undefined, over: Partial<Position> = {}): Position => ({
  systemId: '7',
  timeline: 1,
  slot: 's',
  end: end === undefined ? undefined : parseLsn(end),
  ...over,
});
const decide = (stored: Position | undefined, found: Slot | undefined, adopt = false) =>
  decideStart(stored, found, server, 's', adopt);

describe('capture starts', () => {
  test('by creating the slot when neither log nor server know of it', () => {
    assert.deepEqual(decide(undefined, undefined), { how: 'create' });
  });

  test('again, when it was cut off between the intent and the slot', () => {
    assert.deepEqual(decide(position(undefined), undefined), { how: 'create' });
  });

  test('with a copy beside the stream, when it was cut off right after the slot', () => {
    assert.deepEqual(decide(position(undefined), slot()), {
      how: 'copy-while-streaming',
      from: parseLsn('0/50'),
    });
  });

  test('where the log ends', () => {
    assert.deepEqual(decide(position('0/50'), slot()), {
      how: 'resume',
      position: position('0/50'),
    });
  });

  test("at a stranger's slot only when told to", () => {
    assert.throws(() => decide(undefined, slot()), { code: 'slot_exists' });
    assert.deepEqual(decide(undefined, slot(), true), { how: 'adopt', from: parseLsn('0/50') });
  });
});

describe('capture goes on, when it is told to adopt the slot,', () => {
  test('where somebody else has carried the slot to, with what is left of a copy', () => {
    const copy = [{ oid: 1, schema: 'public', name: 'a' }];
    const inside = { finalLsn: parseLsn('0/4E'), messages: 3 };
    const stored = position('0/41', { transaction: inside, copy });
    assert.deepEqual(decide(stored, slot(), true), {
      how: 'resume',
      position: position('0/50', { transaction: undefined, copy }),
    });
  });

  test('where the log ends, when that is further', () => {
    assert.deepEqual(decide(position('0/51'), slot(), true), {
      how: 'resume',
      position: position('0/51'),
    });
  });
});

describe('capture refuses to start', () => {
  const cases = [
    [
      'when the slot was confirmed further than the log reaches',
      'log_behind_slot',
      position('0/4F'),
      slot(),
    ],
    ['when the server holds less WAL than the log', 'source_changed', position('0/91'), slot()],
    ['when the slot is gone', 'slot_missing', position('0/50'), undefined],
    [
      'when the server removed WAL of the slot',
      'slot_lost',
      position('0/50'),
      slot({ walStatus: 'lost' }),
    ],
    ['while another reads from the slot', 'slot_in_use', position('0/50'), slot({ active: true })],
    ['on another server', 'source_changed', position('0/50', { systemId: '8' }), slot()],
    ['with another slot', 'source_changed', position('0/50', { slot: 'other' }), slot()],
    ["at another plugin's slot", 'slot_exists', undefined, slot({ plugin: 'wal2json' })],
  ] as const;
  for (const [title, code, stored, found] of cases)
    test(title, () => assert.throws(() => decide(stored, found), { code }));
});
