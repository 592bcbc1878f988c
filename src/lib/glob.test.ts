import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globMatcher, isGlob, literalPrefixOf } from './glob.ts';

test('matches whole texts', () => {
  const matches = globMatcher('dbserver1.public.order*');
  assert.ok(matches('dbserver1.public.orders'));
  assert.ok(matches('dbserver1.public.order_items'));
  assert.ok(!matches('dbserver1xpublic.orders'));
  assert.ok(!matches('x.dbserver1.public.orders'));
});

test('takes a question mark for one character, whatever its length in UTF-16', () => {
  assert.ok(globMatcher('a?c')('a😀c'));
  assert.ok(!globMatcher('a?c')('ac'));
});

test('takes all other signs for themselves', () => {
  for (const text of ['a.b', 'a+b', 'a(b)', 'a[b]', 'a\\b', 'a^$|{}b', 'a/b-c'])
    assert.ok(globMatcher(text)(text), text);
});

test('knows the prefix that narrows a search', () => {
  assert.equal(literalPrefixOf('customer:1*:orders'), 'customer:1');
  assert.equal(literalPrefixOf('customer:1'), 'customer:1');
  assert.ok(isGlob('a*'));
  assert.ok(!isGlob('a.b'));
});
