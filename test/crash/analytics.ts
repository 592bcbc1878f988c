import assert from 'node:assert/strict';
import type { Row } from '../../src/domain/envelope.ts';
import {
  defineTable,
  type Sources,
  type Topology,
  topology,
  tumbling,
  type Windowed,
} from '../../src/index.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { recordsOf } from '../capture.ts';

/*
 * What a topology makes of the tables under load, and what it must have made of them: worked out
 * anew from all records of the log, in the plainest way.
 */

type Id = Readonly<{ id: number }>;
type Item = Id & Readonly<{ order_id: number; quantity: number }>;

const orders = defineTable<Id, Id>({ topic: 'dbserver1.public.orders', key: ['id'] });
const items = defineTable<Id, Item>({ topic: 'dbserver1.public.order_items', key: ['id'] });
/** Tables that are counted beside the orders. */
export const COUNTED = {
  crashRows: defineTable<Id, Id>({ topic: 'dbserver1.public.crash_rows', key: ['id'] }),
  customers: defineTable<Id, Id>({ topic: 'dbserver1.public.customers', key: ['id'] }),
};
type Counted = keyof typeof COUNTED;

const WINDOW_MS = 1000;
const GRACE_MS = 10_000;
/** A task tells those to which it hands nothing on how far time has come once it came so much further. */
const TOLD_EVERY_MS = 1000;
const PER_SECOND = 'crash.per-second';
const PAIRS = 'crash.pairs';

/** Two tables merged and counted by second; orders joined with their items. */
export function crashAnalytics(counted: Counted): Topology {
  return topology('crash-analytics', {}, (sources) => {
    perSecond(counted, sources);
    const placed = sources.created(orders);
    const ofOrder = sources.created(items).selectKey(({ order_id: id }) => ({ id }));
    placed
      .join(ofOrder, (order, item) => [order.id, item.id], {
        withinMs: GRACE_MS,
        graceMs: GRACE_MS,
        name: 'pairs',
      })
      .to(PAIRS);
  });
}

function perSecond(counted: Counted, { created }: Sources): void {
  const kinds = created(orders)
    .map(() => 'order')
    .merge(created(COUNTED[counted]).map(() => 'row'));
  const counts = kinds
    .groupBy((kind) => kind)
    .windowedBy(tumbling({ sizeMs: WINDOW_MS, graceMs: GRACE_MS }))
    .count({ name: 'per-second' });
  counts.final().to(PER_SECOND, {
    key: () => null,
    value: (count, { key, startMs }) => ({ key, startMs, count }),
  });
}

/**
 * Throws unless each pair, and each window that time has passed by what records alone tell, is in
 * the log once, and right. The tasks have taken all records into account.
 */
export async function verifyAnalytics(log: EventLog, counted: Counted): Promise<void> {
  const created = {
    order: await creationsIn(log, orders.topic),
    row: await creationsIn(log, COUNTED[counted].topic),
  };
  const ofItems = await creationsIn(log, items.topic);
  const found = (await valuesIn(log, PER_SECOND)) as (Pick<Windowed<string>, 'key' | 'startMs'> & {
    count: number;
  })[];
  const passedMs = await passedIn(log, [orders.topic, COUNTED[counted].topic]);
  const expected = new Map<string, number>();
  for (const [key, rows] of Object.entries(created)) {
    for (const { atMs } of rows) {
      const window = `${key} ${Math.floor(atMs / WINDOW_MS) * WINDOW_MS}`;
      expected.set(window, (expected.get(window) ?? 0) + 1);
    }
  }
  const told = new Map(found.map(({ key, startMs, count }) => [`${key} ${startMs}`, count]));
  assert.equal(told.size, found.length, 'a window was put out twice');
  for (const [window, count] of told) assert.equal(count, expected.get(window), window);
  const missing = [...expected.keys()].filter((window) => {
    const closesMs = Number(window.split(' ')[1]) + WINDOW_MS + GRACE_MS;
    return !told.has(window) && closesMs <= passedMs;
  });
  assert.deepEqual(missing, [], 'windows that should have closed');

  const pairs = (await valuesIn(log, PAIRS)).map((pair) => JSON.stringify(pair)).toSorted();
  const times = new Map(created.order.map(({ row, atMs }) => [row['id'], atMs]));
  const meeting = ofItems.filter(
    ({ row, atMs }) => Math.abs((times.get(row['order_id']) ?? Infinity) - atMs) <= GRACE_MS,
  );
  assert.ok(meeting.length > 0, 'the load has orders with items');
  assert.deepEqual(
    pairs,
    meeting.map(({ row }) => JSON.stringify([row['order_id'], row['id']])).toSorted(),
  );
}

type Creation = Readonly<{ row: Row; atMs: number }>;
type Event = Readonly<{ op: string; after: Row; source: { ts_ms: number } }>;

async function creationsIn(log: EventLog, topic: string): Promise<readonly Creation[]> {
  const events = (await valuesIn(log, topic)) as Event[];
  return events
    .filter(({ op }) => op === 'c')
    .map(({ after, source }) => ({ row: after, atMs: source.ts_ms }));
}

/**
 * How far time has come for each task that reads what comes of all partitions of these: the least,
 * over the partitions, of the latest in each. Copied rows tell no time.
 */
async function passedIn(log: EventLog, topics: readonly string[]): Promise<number> {
  let passedMs = Infinity;
  for (const topic of topics) {
    for (const values of await valuesByPartition(log, topic)) {
      const times = (values as Event[])
        .filter(({ op }) => ['c', 'u', 'd'].includes(op))
        .map(({ source }) => source.ts_ms);
      passedMs = Math.min(
        passedMs,
        times.reduce((a, b) => Math.max(a, b), -Infinity),
      );
    }
  }
  return passedMs - TOLD_EVERY_MS;
}

/** Of all partitions; without tombstones. */
async function valuesIn(log: EventLog, name: string): Promise<unknown[]> {
  return (await valuesByPartition(log, name)).flat();
}

async function valuesByPartition(log: EventLog, name: string): Promise<unknown[][]> {
  const { partitions = 0 } = (await log.topics()).find((topic) => topic.name === name) ?? {};
  const values: unknown[][] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    const records = await recordsOf(log, name, partition);
    values.push(
      records.flatMap(({ value }) =>
        value === null ? [] : [JSON.parse(Buffer.from(value).toString()) as unknown],
      ),
    );
  }
  return values;
}
