import { BlockWriter } from '../../src/domain/record-block.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { timeOf } from './event.ts';
import { type GeneratorSetting, nexmarkEvents } from './generator.ts';
import { TOPIC } from './source.ts';

const EVENTS_PER_APPEND = 5000;

/** Writes the generator's events into their topic, a JSON object each. */
export async function writeEvents(log: EventLog, setting: GeneratorSetting): Promise<void> {
  await log.createTopics([{ name: TOPIC, partitions: 1, cleanup: 'delete' }]);
  const producer = await log.openProducer('generator');
  const writer = new BlockWriter();
  for (const event of nexmarkEvents(setting)) {
    const value = Buffer.from(JSON.stringify(event));
    writer.add({ key: null, value, headers: [], timestampMs: timeOf(event) });
    if (writer.count === EVENTS_PER_APPEND) await producer.append([writer.take(TOPIC, 0)]);
  }
  if (writer.count > 0) await producer.append([writer.take(TOPIC, 0)]);
  await producer.close();
}
