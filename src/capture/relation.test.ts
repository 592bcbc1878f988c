import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { keyNamesOf, type CataloguedKey, type RelationShape } from './relation.ts';

/** Columns of the identity are marked with a star. */
const shape = (identity: RelationShape['identity'], columns: string): RelationShape => ({
  oid: 1,
  schema: 's',
  name: 't',
  identity,
  columns: columns.split(' ').map((name) => ({
    name: name.replace('*', ''),
    typeOid: 25,
    typeModifier: -1,
    isIdentity: name.endsWith('*'),
  })),
});
/** Generated columns are marked with a plus. */
const today = (primaryKey: string, columns: string, index = '', uniqueKey = ''): CataloguedKey => ({
  primaryKey: names(primaryKey),
  uniqueKey: names(uniqueKey),
  identityColumns: names(index),
  columns: columns
    .split(' ')
    .map((name) => ({ name: name.replace('+', ''), isGenerated: name.endsWith('+') })),
});

const names = (list: string): string[] => (list === '' ? [] : list.split(' '));

describe('the key of a relation', () => {
  const cases = [
    ['is in the order of the primary key', 'd', 'a* b* c', today('b a', 'a b c'), undefined, 'b a'],
    ['keeps its order when the table is gone', 'd', 'a* b* c', undefined, ['b', 'a'], 'b a'],
    ["is the WAL's where today's differs", 'd', 'a* b c', today('b', 'a b c'), undefined, 'a'],
    ['is the index named for it', 'i', 'a b* c', today('a', 'a b c'), undefined, 'b'],
    ['is in the order of that index', 'i', 'a* b* c', today('', 'a b c', 'b a'), undefined, 'b a'],
    ['is the primary key within that index', 'i', 'a* b* c', today('a', 'a b c'), undefined, 'a'],
    ['stays so when the table is gone', 'i', 'a* b* c', undefined, ['a'], 'a'],
    ["is today's under FULL", 'f', 'a* b*', today('a', 'a b'), ['b'], 'a'],
    ["is today's beside generated columns", 'f', 'a* b*', today('a', 'a b g+'), [], 'a'],
    ["is today's where those are published", 'f', 'a* b* g*', today('a', 'a b g+'), [], 'a'],
    ['is remembered when the table was altered', 'f', 'a* b*', today('c', 'b c'), ['a'], 'a'],
    [
      'is a unique index without one',
      'd',
      'a b c',
      today('', 'a b c', '', 'c b'),
      undefined,
      'c b',
    ],
    ['is that under FULL too', 'f', 'a* b*', today('', 'a b', '', 'b'), undefined, 'b'],
    ['is none where an old row lacks it', 'd', 'a b', today('', 'a b c', '', 'c'), undefined, ''],
    ['is none when nothing is known', 'f', 'a* b*', undefined, undefined, ''],
  ] as const;
  for (const [title, identity, columns, catalogue, remembered, expected] of cases)
    test(title, () => {
      const found = keyNamesOf(shape(identity, columns), catalogue, remembered);
      assert.equal(found.join(' '), expected);
    });
});
