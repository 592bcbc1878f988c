import { after } from 'node:test';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { eventLogContract } from '../contracts/event-log.ts';
import { temporaryKafka } from './servers/kafka.ts';

/** The records of these tests are of 1970. */
const RETENTION = { ms: Number.MAX_SAFE_INTEGER, bytes: 1 << 30 };

for (const mode of ['kraft', 'zookeeper'] as const) {
  const kafka = await temporaryKafka({ mode });
  after(() => kafka[Symbol.asyncDispose]());

  const open = () => KafkaEventLog.open({ brokers: kafka.brokers }, { retention: RETENTION });
  eventLogContract(`KafkaEventLog, ${mode},`, async () => {
    const log = await open();
    return { log, another: open, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
  });
}
