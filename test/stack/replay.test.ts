import { describe, test } from 'node:test';
import fc from 'fast-check';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { MemoryEventLog } from '../../src/adapters/memory/event-log.ts';
import { RedisStore } from '../../src/adapters/redis/store.ts';
import {
  crashes,
  rebuildsThrough,
  sums,
  sumsDoubled,
  topologyOf,
  totalsOf,
} from '../generations.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { temporaryRedis } from './servers/redis.ts';

const PARTITIONS = 2;
const retention = { ms: 3_600_000, bytes: 1 << 30 };

describe('a rebuild that is killed, and again, comes to what a run over all records comes to', () => {
  test('over Redis', async () => {
    await fc.assert(
      fc.asyncProperty(crashes, async (schedule) => {
        await using server = await temporaryRedis();
        await using store = await RedisStore.open(server);
        const world = { log: new MemoryEventLog(), store };
        await rebuildsThrough(world, [totalsOf(1), totalsOf(2)], schedule, PARTITIONS);
      }),
      { numRuns: 10, endOnFailure: true },
    );
  });

  test('over Kafka and Redis, a topology of several stages', async () => {
    await using kafka = await temporaryKafka();
    await using server = await temporaryRedis();
    await using store = await RedisStore.open(server);
    await using log = await KafkaEventLog.open({ brokers: kafka.brokers }, { retention });
    const codes = [topologyOf(sums, PARTITIONS), topologyOf(sumsDoubled, PARTITIONS)] as const;
    const schedule = [40, 60, 90].map((call) => ({ call, when: 'after' as const }));
    await rebuildsThrough({ log, store }, codes, schedule, PARTITIONS);
  });
});
