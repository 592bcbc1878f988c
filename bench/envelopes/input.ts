import { orders } from '../../pipelines/shop/tables.ts';
import { ChangeEncoder } from '../../src/capture/change-encoder.ts';
import { RecordBatch } from '../../src/capture/record-batch.ts';
import { Relation, type RelationColumn } from '../../src/capture/relation.ts';
import { INSERT } from '../../src/capture/wal-message.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { seededRandom } from '../../test/random.ts';
import { insert } from '../../test/scripted-wal.ts';

const OID = 16_400;
const ORDERS_PER_TRANSACTION = 100;
const TRANSACTIONS_PER_APPEND = 50;
const CUSTOMERS = 1000;
/** Ten minutes of commits for a million orders. */
const ORDERS_PER_S = 1667;
const FIRST_MS = Date.UTC(2026, 0, 1);
const STATUSES = ['pending', 'processing', 'shipped', 'delivered', 'cancelled'];

const INT = 23;
const TEXT = 25;
const VARCHAR = 1043;
const TIMESTAMP = 1114;
const NUMERIC = 1700;

/** The shop's orders, as pgoutput describes them. */
const RELATION = new Relation(
  {
    oid: OID,
    schema: 'public',
    name: 'orders',
    identity: 'f',
    columns: [
      column('id', INT),
      column('customer_id', INT),
      column('order_date', TIMESTAMP),
      column('total_amount', NUMERIC),
      column('status', VARCHAR),
      column('shipping_address', TEXT),
      column('created_at', TIMESTAMP),
      column('updated_at', TIMESTAMP),
    ],
  },
  orders.key,
  '__debezium_unavailable_value',
);

/**
 * Writes the insertion of so many orders into the topic of the shop's orders, in the envelopes that
 * capture makes of pgoutput's messages.
 */
export async function writeEnvelopes(log: EventLog, count: number): Promise<void> {
  const { topic } = orders;
  await log.createTopics([{ name: topic, partitions: 1, cleanup: 'delete' }]);
  const producer = await log.openProducer('capture');
  const batch = new RecordBatch([]);
  const encoder = newEncoder(batch);
  const random = seededRandom(1);
  for (let transaction = 0; transaction * ORDERS_PER_TRANSACTION < count; transaction += 1) {
    const first = transaction * ORDERS_PER_TRANSACTION;
    const timeMs = FIRST_MS + Math.floor((first * 1000) / ORDERS_PER_S);
    encoder.clock.set(timeMs);
    const lsn = 24_000_000 + first * 300;
    const txId = 700 + transaction;
    const origin = { timeUs: timeMs * 1000, txId, previousCommit: lsn - 48, snapshot: 'false' };
    for (let id = first; id < Math.min(count, first + ORDERS_PER_TRANSACTION); id += 1) {
      const message = insert(OID, order(id + 1, timeMs, random));
      encoder.message(INSERT, message, 0, message.length, origin, lsn + 200 * (id - first));
    }
    if (transaction % TRANSACTIONS_PER_APPEND === 0) await producer.append(batch.take());
  }
  await producer.append(batch.take());
  await producer.close();
}

function newEncoder(batch: RecordBatch): ChangeEncoder {
  const named = {
    prefix: 'dbserver1',
    database: 'shop',
    version: 'bench',
    streamed: 'false',
  } as const;
  const kept = { tombstones: true, skipped: new Set<string>(), partitionsOf: () => 1 };
  const encoder = new ChangeEncoder({ ...kept, names: named }, batch);
  encoder.define(RELATION, orders.topic);
  return encoder;
}

/** A row's values as text. */
function order(id: number, timeMs: number, random: () => number): string[] {
  const below = (bound: number): number => Math.floor(random() * bound);
  const at = new Date(timeMs).toISOString().replace('T', ' ').replace('Z', '000');
  const amount = (below(99_000) / 100 + 10).toFixed(2);
  const status = STATUSES[below(STATUSES.length)] ?? '';
  const address = `${1 + below(9999)} Long Street, Flat ${1 + below(99)}, Springfield, CA 90${100 + below(900)}`;
  return [String(id), String(1 + below(CUSTOMERS)), at, amount, status, address, at, at];
}

function column(name: string, typeOid: number): RelationColumn {
  return { name, typeOid, typeModifier: -1, isIdentity: true };
}
