import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin, Producer as LibraryProducer } from '@platformatic/kafka';
import { Cluster } from '../../src/adapters/kafka/cluster.ts';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { describeTransactions } from '../../src/adapters/kafka/protocol.ts';
import { Transactions } from '../../src/adapters/kafka/transactions.ts';
import { type ErrorCode, MillraceError } from '../../src/domain/errors.ts';
import { blocksOf, type LogRecord, type RecordBlock } from '../../src/domain/record-block.ts';
import type { EventLog, TopicDeclaration } from '../../src/ports/event-log.ts';
import { readTo } from '../../src/ports/read-to.ts';
import { temporaryKafka } from './servers/kafka.ts';

/** The records of these tests are of 1970. */
const RETENTION = { ms: Number.MAX_SAFE_INTEGER, bytes: 1 << 30 };

describe('KafkaEventLog', { concurrency: true }, async () => {
  const kafka = await temporaryKafka();
  after(() => kafka[Symbol.asyncDispose]());
  const open = (retention = RETENTION) =>
    KafkaEventLog.open({ brokers: kafka.brokers }, { retention });
  const client = { clientId: 'another', bootstrapBrokers: [...kafka.brokers] };

  /** A transaction of a program that is not ours, begun, with one record. */
  const begun = async (topic: string, key: string, value: string) => {
    const producer = new LibraryProducer({
      ...client,
      transactionalId: randomUUID(),
      idempotent: true,
      producerId: -1n,
      producerEpoch: -1,
      retryDelay: 10,
    });
    const transaction = await producer.beginTransaction();
    const message = { topic, partition: 0, key: Buffer.from(key), value: Buffer.from(value) };
    await transaction.send({ messages: [message] });
    return { producer, transaction };
  };

  test('shows nothing of an aborted transaction, and a reader comes to the end behind it', async () => {
    await using log = await open();
    const topic = await created(log);
    const producer = await log.openProducer(randomUUID());
    await producer.append([block(topic, ['a'])]);
    const other = await begun(topic, '', 'aborted');
    await other.transaction.abort();
    await other.producer.close();
    await producer.append([block(topic, ['b'])]);
    const again = await begun(topic, '', 'aborted too');
    await again.transaction.abort();
    await again.producer.close();

    const signal = AbortSignal.timeout(20_000);
    const seen: LogRecord[] = [];
    const { end } = await log.offsets({ topic, partition: 0 });
    for await (const { records, next } of log.read({ topic, partition: 0, offset: 0 }, signal)) {
      seen.push(...records);
      if (next >= end) break;
    }
    assert.deepEqual(seen.map(text), ['a', 'b']);
    assert.ok(!signal.aborted);
  });

  test('resolves an append once the transactions before it have ended, so that it can be read', async () => {
    await using log = await open();
    const topic = await created(log);
    const name = randomUUID();
    const producer = await log.openProducer(name);
    const other = await begun(topic, '', 'first');
    let isResolved = false;
    const appended = producer.append([block(topic, ['second'])], 'position').then(() => {
      isResolved = true;
    });
    // Committed, and so a position; but hidden, and so not resolved.
    while ((await log.positionOf(name)) === undefined) assert.ok(!isResolved);
    assert.equal((await log.offsets({ topic, partition: 0 })).end, 0);
    await other.transaction.commit();
    await appended;
    assert.deepEqual((await all(log, topic)).map(text), ['first', 'second']);
    await other.producer.close();
  });

  test('finds positions though the transaction of another producer is open', async () => {
    await using log = await open();
    const name = randomUUID();
    const producer = await log.openProducer(name);
    await producer.append([], 'one');
    const other = await begun('millrace.positions', name, 'of a transaction that never ends');
    await producer.append([], 'two');
    assert.equal(await log.positionOf(name), 'two');
    assert.equal((await log.openProducer(name)).position, 'two');
    await other.transaction.abort();
    await other.producer.close();
    assert.equal(await log.positionOf(name), 'two');
  });

  test('tells a transaction that took too long from one whose producer was replaced', async () => {
    await using log = await open();
    const topic = await created(log);
    await using cluster = await Cluster.open({ brokers: kafka.brokers });
    const outcomeOf = async (meanwhile: (id: string) => Promise<unknown>) => {
      const transactions = new Transactions(cluster, cluster.lane(), `millrace/${randomUUID()}`);
      await transactions.takeOver();
      await transactions.begin([{ topic, partition: 0 }]);
      await meanwhile(transactions.id);
      const failure = await transactions.commit().catch((error: unknown) => error);
      const explained = await transactions.explain(failure);
      return explained instanceof MillraceError && explained.code;
    };
    const stateOf = async (id: string) => {
      const { transactionStates } = await cluster.call(cluster.any(), describeTransactions, [id]);
      return transactionStates[0]?.transactionState;
    };
    const [tooLong, replaced] = await Promise.all([
      outcomeOf(async (id) => {
        while ((await stateOf(id)) !== 'CompleteAbort') await sleep(200);
      }),
      outcomeOf((id) => new Transactions(cluster, cluster.lane(), id).takeOver()),
    ]);
    assert.equal(tooLong, 'log_unreachable');
    assert.equal(replaced, 'producer_fenced');
  });

  test('leaves the transaction of its successor alone when it finds out that it was replaced', async () => {
    await using log = await open();
    const topic = await created(log);
    await using cluster = await Cluster.open({ brokers: kafka.brokers });
    const id = `millrace/${randomUUID()}`;
    const [old, heir] = [0, 1].map(() => new Transactions(cluster, cluster.lane(), id));
    assert.ok(old !== undefined && heir !== undefined);
    await old.takeOver();
    await old.begin([{ topic, partition: 0 }]);
    await heir.takeOver();
    await heir.begin([{ topic, partition: 0 }]);
    const failure = await old.commit().catch((error: unknown) => error);
    const explained = await old.explain(failure);
    assert.ok(explained instanceof MillraceError && explained.code === 'producer_fenced');
    await heir.commit();
  });

  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    test(`reads what others wrote: ${compression}`, async () => {
      await using log = await open();
      const topic = await created(log);
      const library = new LibraryProducer({ ...client, compression });
      const messages = Array.from({ length: 100 }, (_, n) => ({
        topic,
        partition: 0,
        key: Buffer.from(`${n}`),
        value: Buffer.from(`value ${n} `.repeat(20)),
        timestamp: BigInt(1_700_000_000_000 - n),
        headers: new Map([[Buffer.from('n'), Buffer.from(`${n % 2}`)]]),
      }));
      await library.send({ messages });
      await library.close();
      const records = await all(log, topic);
      assert.deepEqual(
        records.map(({ key, value, timestampMs, headers }) => [
          Buffer.from(key ?? []).toString(),
          Buffer.from(value ?? []).toString(),
          timestampMs,
          headers,
        ]),
        messages.map(({ key, value, timestamp }, n) => [
          key.toString(),
          value.toString(),
          Number(timestamp),
          [['n', `${n % 2}`]],
        ]),
      );
    });
  }

  test('appends what takes many batches, and a record larger than a batch', async () => {
    await using log = await open();
    const topic = await created(log);
    const producer = await log.openProducer(randomUUID());
    const large = randomBytes(3_000_000).toString('base64');
    const many = Array.from({ length: 6000 }, (_, n) => `${n} ${randomBytes(500).toString('hex')}`);
    await Promise.all([
      producer.append([block(topic, many)]),
      producer.append([block(topic, [large, 'last'])]),
    ]);
    assert.deepEqual((await all(log, topic)).map(text), [...many, large, 'last']);
  });

  test('refuses a record that is larger than the topic allows', async () => {
    await using log = await open();
    const topic = await created(log);
    const producer = await log.openProducer(randomUUID());
    const value = randomBytes(12_000_000).toString('base64');
    await rejects(producer.append([block(topic, [value])]), 'record_too_large');
    assert.deepEqual(await all(log, topic), []);
  });

  test('creates topics as they are declared, with the retention it was opened with', async () => {
    await using log = await open({ ms: 3_600_000, bytes: 123_456_789 });
    const [kept, removed] = [
      await created(log, { cleanup: 'compact', partitions: 3 }),
      await created(log),
    ];
    const admin = new Admin(client);
    const settings = await admin.describeConfigs({
      resources: [kept, removed].map((resourceName) => ({ resourceType: 2, resourceName })),
    });
    await admin.close();
    const of = (topic: string, name: string) =>
      settings
        .find(({ resourceName }) => resourceName === topic)
        ?.configs.find((each) => each.name === name)?.value;
    assert.equal(of(kept, 'cleanup.policy'), 'compact');
    assert.equal(of(removed, 'cleanup.policy'), 'delete');
    assert.equal(of(removed, 'retention.ms'), '3600000');
    assert.equal(of(removed, 'retention.bytes'), '123456789');
    const listed = (await log.topics()).map(({ name }) => name);
    assert.ok(listed.includes(kept) && listed.includes(removed));
    assert.ok(!listed.some((name) => name.startsWith('__') || name === 'millrace.positions'));
  });

  test('says where reading may begin when records were removed', async () => {
    await using log = await open();
    const topic = await created(log);
    const producer = await log.openProducer(randomUUID());
    await producer.append([block(topic, ['a', 'b', 'c'])]);
    const admin = new Admin(client);
    const partitions = [{ partition: 0, offset: 2n }];
    await admin.deleteRecords({ topics: [{ name: topic, partitions }] });
    await admin.close();
    const { start, end } = await log.offsets({ topic, partition: 0 });
    assert.deepEqual({ start, end }, { start: 2, end: 4 });
    const reading = log.read({ topic, partition: 0, offset: 1 }, new AbortController().signal);
    await assert.rejects(reading[Symbol.asyncIterator]().next(), (error: MillraceError) => {
      assert.equal(error.code, 'offset_out_of_range');
      assert.deepEqual(error.facts, { topic, partition: 0, offset: 1, start: 2, end: 4 });
      return true;
    });
    assert.deepEqual((await all(log, topic)).map(text), ['c']);
  });
});

async function created(log: EventLog, more: Partial<TopicDeclaration> = {}): Promise<string> {
  const name = `topic-${randomUUID().slice(0, 8)}`;
  await log.createTopics([{ name, partitions: 1, cleanup: 'delete', ...more }]);
  return name;
}

function block(topic: string, values: readonly string[]): RecordBlock {
  const records = values.map((value) => ({
    topic,
    partition: 0,
    record: { key: null, value: Buffer.from(value), timestampMs: 1000, headers: [] },
  }));
  const [only] = blocksOf(records);
  assert.ok(only);
  return only;
}

async function all(log: EventLog, topic: string): Promise<LogRecord[]> {
  const { start, end } = await log.offsets({ topic, partition: 0 });
  const found: LogRecord[] = [];
  const { signal } = new AbortController();
  for await (const records of readTo(log, { topic, partition: 0, offset: start }, end, signal)) {
    found.push(...records);
  }
  return found;
}

function text({ value }: LogRecord): string {
  return Buffer.from(value ?? []).toString();
}

async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, (error: MillraceError) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}
