import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { must } from '../../lib/must.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import type { Stream } from './streams.ts';
import { type Sources, topology } from './topology.ts';
import { hopping } from './windows.ts';

type Order = Readonly<{ id: number; customer?: number; placedMs?: number }>;
const orders = defineTable<{ id: number }, Order>({ topic: 'shop.orders', key: ['id'] });

const described = (build: (sources: Sources) => void) => () => topology('test', {}, build);

/** What a topology says of an order. */
const given = (order: Order, build: (sources: Sources) => void) => () =>
  new TopologyTestDriver(topology('test', {}, build)).insert(orders, order, { atMs: 1_000 });

describe('a description is refused', () => {
  test('that takes a stream of another topology', () => {
    let other: Stream<{ id: number }, Order> | undefined;
    topology('other', {}, ({ created }) => {
      other = created(orders);
    });
    assert.throws(
      described(({ created }) => created(orders).merge(must(other, 'it was described')).to('all')),
      /merge-1 of topology test takes what comes from map-1 of another/,
    );
  });

  test('that goes on with another that is done', () => {
    let other: Stream<{ id: number }, Order> | undefined;
    topology('other', {}, ({ created }) => {
      other = created(orders);
    });
    assert.throws(
      () => other?.to('all'),
      /topology other is described already: found a further to/,
    );
  });

  test('that is async', () => {
    assert.throws(
      described(async ({ created }) => {
        await Promise.resolve();
        created(orders).to('all');
      }),
      /topology test is described by an async function/,
    );
  });

  test('whose joins have no span', () => {
    for (const withinMs of [Number.NaN, -1, 0.5]) {
      const join = described(({ created }) =>
        created(orders)
          .join(created(orders), () => 1, { withinMs })
          .to('pairs'),
      );
      assert.throws(join, /withinMs of a join: expected a whole number of ms, found/);
    }
  });

  test('whose windows hold each element thousands of times', () => {
    assert.throws(
      () => hopping({ sizeMs: 86_400_000, advanceMs: 1 }),
      /expected each element in 10000 of them at most/,
    );
  });
});

describe('an element fails', () => {
  test('whose time is none', () => {
    for (const placedMs of [Number.NaN, 1e300, -1e300, '5' as never, null as never]) {
      const at = ({ placedMs: timeMs }: Order): number => timeMs as number;
      const add = given({ id: 1, placedMs }, ({ created }) =>
        created(orders, { timeMs: at }).to('all'),
      );
      assert.throws(add, /event time: expected ms since the epoch, found/);
    }
  });

  test('whose key JSON cannot say', () => {
    for (const key of [undefined, Number.NaN, Infinity]) {
      const count = given({ id: 1 }, ({ created }) =>
        created(orders)
          .groupBy(() => key)
          .count()
          .to('counts'),
      );
      assert.throws(count, /key: expected a JSON value, found/);
    }
  });

  test('of which a function only promises to say something', () => {
    const late = async (): Promise<never> => Promise.reject(new Error('nobody waits for this'));
    const builds: ((sources: Sources) => void)[] = [
      ({ created }) => created(orders).map(late).to('all'),
      ({ created }) => created(orders).selectKey(late).to('all'),
      ({ created }) =>
        created(orders)
          .groupByKey()
          .aggregate(() => 0, late as never)
          .to('all'),
      ({ created }) => created(orders).process({ name: 'own', onRecord: late }).to('all'),
      ({ created, table }) =>
        created(orders)
          .joinTable(table(orders), late, { timing: 'arrival', type: 'left' })
          .to('all'),
    ];
    for (const build of builds)
      assert.throws(given({ id: 1 }, build), /a function of a topology returned a promise/);
  });
});

test('times of parts of a millisecond are of the whole one', () => {
  const driver = new TopologyTestDriver(
    topology('test', {}, ({ created }) =>
      created(orders, { timeMs: ({ placedMs = 0 }) => placedMs }).to('all'),
    ),
  );
  driver.insert(orders, { id: 1, placedMs: 1_500.75 });
  assert.equal(driver.read('all')[0]?.timestampMs, 1_500);
});
