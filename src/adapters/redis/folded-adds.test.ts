import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServedWrite } from '../../ports/store.ts';
import { foldAdds } from './folded-adds.ts';

const add = (key: string, amount: string): ServedWrite => ({ op: 'add', key, amount });
const put = (key: string): ServedWrite => ({ op: 'put', key, value: '1' });

test('adds to a key are one, where the first of them stood', () => {
  const served = [put('x'), add('a', '1'), add('b', '0.50'), add('a', '2'), add('b', '-0.25')];
  assert.deepEqual(foldAdds(served), [
    { write: put('x'), place: 0 },
    { write: add('a', '3'), place: 1 },
    { write: add('b', '0.25'), place: 2 },
  ]);
});

test('not over another write of the key, nor what is no decimal', () => {
  const served = [add('a', '1'), put('a'), add('a', '2'), add('a', '1e3'), add('a', '3')];
  assert.deepEqual(
    foldAdds(served),
    served.map((write, place) => ({ write, place })),
  );
});
