import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean, nearest } from './suggestion.ts';

test('suggests the word that differs least', () => {
  assert.equal(nearest('custmers', ['orders', 'customers', 'customer_id']), 'customers');
  assert.equal(nearest('tabel', ['view', 'table']), 'table');
  assert.equal(nearest('Tags', ['tags', 'tests']), 'tags');
});

test('suggests nothing where nothing is close', () => {
  assert.equal(nearest('shipments', ['orders', 'customers']), undefined);
  assert.equal(nearest('x', ['y']), undefined);
  assert.equal(didYouMean('x', []), '');
});
