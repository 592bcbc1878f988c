import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { incompleteAfter, type Turn } from './incomplete.ts';

const NONE = new Set<string>();
const OTHER = new Set(['other']);
const ITS_OWN = new Set(['t']);

/** A turn of a table that is in the lake, and of which nothing is copied. */
const turn = (more: Partial<Turn> = {}): Turn => ({
  topic: 't',
  known: undefined,
  isNew: false,
  isAtEnd: true,
  asked: undefined,
  left: NONE,
  nowMs: 7,
  ...more,
});

describe('a table of which rows are still to come', () => {
  const copied = { sinceMs: 1, cause: 'copy' } as const;
  const lost = { sinceMs: 1, cause: 'gap' } as const;

  test('is one that is left to be copied', () => {
    assert.deepEqual(incompleteAfter(turn({ left: ITS_OWN })), { sinceMs: 7, cause: 'copy' });
    assert.deepEqual(incompleteAfter(turn({ left: 'all' })), { sinceMs: 7, cause: 'copy' });
    assert.equal(incompleteAfter(turn({ left: OTHER })), undefined);
    assert.equal(incompleteAfter(turn()), undefined);
  });

  test('is one of which a copy was asked for, whatever was left before that', () => {
    assert.deepEqual(incompleteAfter(turn({ asked: 'key' })), { sinceMs: 7, cause: 'key' });
    const again = incompleteAfter(turn({ asked: 'gap', known: copied }));
    assert.deepEqual(again, { sinceMs: 1, cause: 'gap' });
  });

  test('is complete when its copy has ended and all of it is read', () => {
    assert.deepEqual(incompleteAfter(turn({ known: copied, left: ITS_OWN })), copied);
    assert.deepEqual(incompleteAfter(turn({ known: copied, isAtEnd: false })), copied);
    assert.equal(incompleteAfter(turn({ known: copied, left: OTHER })), undefined);
  });

  test('is complete after a copy that was asked for when nothing is left before it', () => {
    assert.deepEqual(incompleteAfter(turn({ known: lost, left: OTHER })), lost);
    assert.deepEqual(incompleteAfter(turn({ known: lost, left: 'all' })), lost);
    assert.equal(incompleteAfter(turn({ known: lost })), undefined);
  });

  test('is a new one while the first part of its records is read, and no other that is behind', () => {
    const behind = turn({ isAtEnd: false });
    assert.deepEqual(incompleteAfter({ ...behind, isNew: true }), { sinceMs: 7, cause: 'copy' });
    assert.equal(incompleteAfter(behind), undefined);
  });

  test('is not told where nobody could tell when they have come', () => {
    const unknown = turn({ left: undefined, known: lost, asked: 'gap', isAtEnd: false });
    assert.equal(incompleteAfter(unknown), undefined);
  });
});
