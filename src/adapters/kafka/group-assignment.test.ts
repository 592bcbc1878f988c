import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TopicPartition } from '../../ports/event-log.ts';
import { assign, without } from './group-assignment.ts';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './group-protocol.ts';

const COUNTS = new Map([
  ['orders', 4],
  ['items', 4],
  ['products', 1],
]);
const topics = [...COUNTS.keys()];
const of = (topic: string, ...partitions: readonly number[]) =>
  partitions.map((partition) => ({ topic, partition }));

test('equal partitions of different topics meet at one member', () => {
  const assigned = assign(
    new Map([
      ['a', { topics, owned: [] }],
      ['b', { topics, owned: [] }],
    ]),
    COUNTS,
  );
  assert.deepEqual(assigned.get('a'), [
    ...of('orders', 0, 2),
    ...of('items', 0, 2),
    ...of('products', 0),
  ]);
  assert.deepEqual(assigned.get('b'), [...of('orders', 1, 3), ...of('items', 1, 3)]);
});

test('what another still reads is given to nobody until it lets go', () => {
  const owned = of('orders', 0, 1, 2, 3);
  const both = (ownedByA: readonly TopicPartition[]) =>
    new Map([
      ['a', { topics: ['orders'], owned: ownedByA }],
      ['b', { topics: ['orders'], owned: [] }],
    ]);
  const counts = new Map([['orders', 4]]);
  const first = assign(both(owned), counts);
  assert.deepEqual(first.get('a'), of('orders', 0, 2));
  assert.deepEqual(first.get('b'), []);
  assert.deepEqual(without(owned, first.get('a') ?? []), of('orders', 1, 3));
  assert.deepEqual(assign(both(of('orders', 0, 2)), counts).get('b'), of('orders', 1, 3));
});

test('however members come and go, none reads what another reads, and in two rounds all is read', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const members = fc.uniqueArray(name, { minLength: 1 });
  fc.assert(
    fc.property(fc.array(members, { minLength: 1, maxLength: 8 }), (changes) => {
      let owned = new Map<string, readonly TopicPartition[]>();
      const round = (present: readonly string[]) => {
        const subscriptions = present.map(
          (member) => [member, { topics, owned: owned.get(member) ?? [] }] as const,
        );
        owned = new Map(assign(new Map(subscriptions), COUNTS));
        const all = [...owned.values()].flat().map((each) => JSON.stringify(each));
        assert.equal(new Set(all).size, all.length);
        return all.length;
      };
      for (const present of changes) {
        round(present);
        assert.equal(round(present), 9);
      }
    }),
  );
});

test('what members and the one that assigns tell each other survives a round trip', () => {
  const owned = [...of('orders', 0, 3), ...of('ä', 1)];
  assert.deepEqual(decodeSubscription(encodeSubscription({ topics, owned })), { topics, owned });
  assert.deepEqual(decodeAssignment(encodeAssignment(owned)), owned);
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), []);
});
