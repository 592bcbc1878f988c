import { randomUUID } from 'node:crypto';
import { blocksOf } from '../../domain/record-block.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { CapturedTable } from './captured-topics.ts';

/**
 * Asks Debezium to copy tables while changes flow; durable when it resolves. See
 * https://debezium.io/documentation/reference/stable/configuration/signalling.html
 */
export async function signalCopy(
  log: EventLog,
  tables: readonly CapturedTable[],
  {
    connector,
    topic,
    topicPrefix,
    nowMs,
  }: Readonly<{ connector: string; topic: string; topicPrefix: string; nowMs: number }>,
): Promise<void> {
  // Each is a regular expression over the names of tables.
  const collections = tables.map(({ schema, name }) =>
    `${schema}.${name}`.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`),
  );
  const signal = {
    id: randomUUID(),
    type: 'execute-snapshot',
    data: { type: 'incremental', 'data-collections': collections },
  };
  const record = {
    timestampMs: nowMs,
    key: Buffer.from(topicPrefix),
    value: Buffer.from(JSON.stringify(signal)),
    headers: [],
  };
  const producer = await log.openProducer(`signals/${connector}`);
  try {
    await producer.append(blocksOf([{ topic, partition: 0, record }]));
  } finally {
    await producer.close();
  }
}
