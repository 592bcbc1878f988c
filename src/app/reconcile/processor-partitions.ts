import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import type { Processor } from '../../stream/processor.ts';
import { partitionsOfTopic } from '../operations/consume.ts';

/** A place in the log for each partition, by `topic-partition`. */
export type Places = Readonly<Record<string, number>>;

/** Each processor's partitions: those of all its topics, whoever reads them now. */
export async function partitionsOfProcessors(
  processors: readonly Pick<Processor, 'name' | 'topics'>[],
  log: EventLog,
): Promise<ReadonlyMap<string, readonly TopicPartition[]>> {
  const topics = await log.topics();
  return new Map(
    processors.map(({ name, topics: read }) => [
      name,
      topics.filter((topic) => read.includes(topic.name)).flatMap(partitionsOfTopic),
    ]),
  );
}

/** `topic-partition`. */
export function idOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
