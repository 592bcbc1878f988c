import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@platformatic/kafka';
import { Cluster } from '../../src/adapters/kafka/cluster.ts';
import { hasAnswer } from '../../src/adapters/kafka/errors.ts';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { describeTransactions } from '../../src/adapters/kafka/protocol.ts';
import { CommandSender } from '../../src/app/operations/command-sender.ts';
import { COMMANDS } from '../../src/app/topics.ts';
import type { MillraceError } from '../../src/domain/errors.ts';
import { blocksOf } from '../../src/domain/record-block.ts';
import { readTo } from '../../src/ports/read-to.ts';
import { temporaryKafka } from './servers/kafka.ts';

const RETENTION = { ms: 3_600_000, bytes: 1 << 30 };

describe('KafkaEventLog, with producers that are seldom used,', async () => {
  const kafka = await temporaryKafka({
    settings: {
      'transactional.id.expiration.ms': '1000',
      'transaction.remove.expired.transaction.cleanup.interval.ms': '500',
    },
  });
  after(() => kafka[Symbol.asyncDispose]());
  const open = () => KafkaEventLog.open({ brokers: kafka.brokers }, { retention: RETENTION });

  test('keeps nothing in the cluster for those who only look', async () => {
    await using log = await open();
    assert.equal(await log.positionOf('none'), undefined);
    assert.deepEqual(await log.topics(), []);
    const admin = new Admin({ clientId: 'admin', bootstrapBrokers: [...kafka.brokers] });
    const topics = await admin.listTopics({ includeInternals: true });
    await admin.close();
    assert.deepEqual(topics, []);
  });

  test('says so when Kafka has forgotten a producer, and commands arrive all the same', async () => {
    await using log = await open();
    await log.createTopics([{ name: COMMANDS, partitions: 1, cleanup: 'compact' }]);
    await using sender = new CommandSender(log, Date.now);
    const pause = { do: 'hold', processor: 'orders', hold: 'x', leaseMs: 1, at: 'now' } as const;
    await sender.send(pause);
    const producer = await log.openProducer('idle');
    const record = { key: Buffer.from('a'), value: null, timestampMs: 1000, headers: [] };
    const blocks = blocksOf([{ topic: COMMANDS, partition: 0, record }]);
    await producer.append(blocks, '1');
    for (const name of ['operator', 'idle']) await forgotten(kafka.brokers, `millrace/${name}`);

    await assert.rejects(
      producer.append(blocks, '2'),
      (error: MillraceError) => error.code === 'producer_expired',
    );
    assert.equal((await log.openProducer('idle')).position, '1');
    await sender.send(pause);
    const { end } = await log.offsets({ topic: COMMANDS, partition: 0 });
    const { signal } = new AbortController();
    const from = { topic: COMMANDS, partition: 0, offset: 0 };
    const records = (await Array.fromAsync(readTo(log, from, end, signal))).flat();
    assert.equal(records.length, 3);
  });
});

/** Waits until the cluster does not know the transactional id. */
async function forgotten(brokers: readonly string[], id: string): Promise<void> {
  await using cluster = await Cluster.open({ brokers });
  for (;;) {
    try {
      await cluster.call(cluster.any(), describeTransactions, [id]);
    } catch (error) {
      if (hasAnswer(error, 'TRANSACTIONAL_ID_NOT_FOUND')) return;
      throw error;
    }
    await sleep(100);
  }
}
