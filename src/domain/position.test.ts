import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLsn } from './lsn.ts';
import { formatPosition, parsePosition, type Position } from './position.ts';

const base = { systemId: '7', timeline: 1, slot: 's' };

test('a position survives a round trip at every stage of capture', () => {
  const positions: Position[] = [
    { ...base, end: undefined },
    { ...base, end: parseLsn('0/10') },
    { ...base, end: parseLsn('0/10'), transaction: { finalLsn: parseLsn('1/20'), messages: 3 } },
    {
      ...base,
      end: parseLsn('0/10'),
      transaction: { finalLsn: parseLsn('1/20'), messages: 0, logical: 2 },
    },
    {
      ...base,
      end: parseLsn('0/10'),
      copy: [{ oid: 5, schema: 'public', name: 'a', after: { order: ['id 23'], values: ['1'] } }],
    },
  ];
  for (const position of positions)
    assert.deepEqual(parsePosition(formatPosition(position)), position);
});
