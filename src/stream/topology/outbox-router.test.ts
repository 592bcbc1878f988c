import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import { outboxRouter } from './outbox-router.ts';

type Row = Readonly<{
  id: string;
  aggregatetype: string;
  aggregateid: string;
  type: string;
  payload: string | null;
}>;
const outbox = defineTable<{ id: string }, Row>({ topic: 'shop.outbox', key: ['id'] });

/** That of Debezium's documentation of its router. */
const EVENT: Row = {
  id: '406c07f3-26f0-4eea-a50c-109940064b8f',
  aggregateid: '1',
  aggregatetype: 'Order',
  payload:
    '{"id": 1, "lineItems": [{"id": 1, "item": "Debezium in Action", "status": "ENTERED", "quantity": 2, "totalPrice": 39.98}], "orderDate": "2019-01-31T12:13:01", "customerId": 123}',
  type: 'OrderCreated',
};
const AT_MS = 1556890294484;

function driverOf(options: Partial<Parameters<typeof outboxRouter<{ id: string }, Row>>[1]> = {}) {
  return new TopologyTestDriver(
    outboxRouter('outbox', { table: outbox, aggregates: ['Order', 'customer'], ...options }),
  );
}

describe('the outbox router', () => {
  test('makes a record of an event, as Debezium does with an expanded payload', () => {
    const driver = driverOf();
    driver.insert(outbox, EVENT, { atMs: AT_MS });
    assert.deepEqual(driver.read('outbox.event.Order'), [
      {
        key: '1',
        value: JSON.parse(EVENT.payload ?? ''),
        timestampMs: AT_MS,
        headers: { id: EVENT.id },
      },
    ]);
  });

  test('leaves the payload text if asked', () => {
    const driver = driverOf({ expandsPayload: false });
    driver.insert(outbox, EVENT);
    assert.equal(driver.read('outbox.event.Order')[0]?.value, EVENT.payload);
  });

  test('leaves text what is no JSON object or array', () => {
    const driver = driverOf();
    const payloads = ['{broken', 'plain', '42', '"text"', ''];
    for (const payload of payloads) driver.insert(outbox, { ...EVENT, payload });
    assert.deepEqual(
      driver.read('outbox.event.Order').map(({ value }) => value),
      payloads,
    );
  });

  test('makes a tombstone of a null payload', () => {
    const driver = driverOf();
    driver.insert(outbox, { ...EVENT, payload: null });
    assert.equal(driver.read('outbox.event.Order')[0]?.value, null);
  });

  test('adds the headers that are asked for', () => {
    const driver = driverOf({ headers: { eventType: 'type' } });
    driver.insert(outbox, EVENT);
    assert.deepEqual(driver.read('outbox.event.Order')[0]?.headers, {
      id: EVENT.id,
      eventType: 'OrderCreated',
    });
  });

  test('ignores deletes, and puts updates aside', () => {
    const driver = driverOf();
    driver.update(outbox, EVENT, { ...EVENT, type: 'OrderChanged' });
    driver.delete(outbox, EVENT);
    assert.deepEqual(driver.read('outbox.event.Order'), []);
    const [ignored, ...others] = driver.read('outbox.ignored');
    assert.equal(others.length, 0);
    assert.partialDeepStrictEqual(ignored?.value, { reason: 'an outbox row was updated', op: 'u' });
  });

  test('routes events that were copied, unless told not to', () => {
    for (const copied of [true, false]) {
      const driver = driverOf({ copied });
      driver.copy(outbox, EVENT);
      assert.equal(driver.read('outbox.event.Order').length, copied ? 1 : 0);
    }
  });

  test('fails on an aggregate type that is not declared, and names it', () => {
    const driver = driverOf();
    assert.throws(() => driver.insert(outbox, { ...EVENT, aggregatetype: 'invoice' }), {
      message: 'aggregate type "invoice" is not declared: outbox routes Order, customer',
    });
  });

  test('takes other columns and topics', () => {
    type Event = Readonly<{ event: number; kind: string; subject: number; body: string }>;
    const events = defineTable<null, Event>({ topic: 'shop.events', key: [] });
    const driver = new TopologyTestDriver(
      outboxRouter('events', {
        table: events,
        aggregates: ['order'],
        columns: { id: 'event', aggregateType: 'kind', aggregateId: 'subject', payload: 'body' },
        topicOf: (type) => `${type}s`,
      }),
    );
    driver.insert(events, { event: 1, kind: 'order', subject: 7, body: '[]' }, { atMs: 5 });
    assert.deepEqual(driver.read('orders'), [
      { key: '7', value: [], timestampMs: 5, headers: { id: '1' } },
    ]);
  });

  test('refuses topics that can be none', () => {
    assert.throws(() => driverOf({ aggregates: ['order line'] }), /expected .* found "outbox/);
    assert.throws(() => driverOf({ aggregates: [] }), /expected aggregate types/);
  });
});
