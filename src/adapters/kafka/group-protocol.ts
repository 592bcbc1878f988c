import { Reader, Writer } from '@platformatic/kafka';
import type { TopicPartition } from '../../ports/event-log.ts';

/** What a member tells the one that assigns: what it wants to read, and what it still reads. */
export type Subscription = Readonly<{
  topics: readonly string[];
  owned: readonly TopicPartition[];
}>;

/*
 * What Kafka's own consumers say, so that its tools show the groups:
 *
 *   subscription := version i16 | topics [string] | userData bytes | owned
 *   assignment   := version i16 | owned | userData bytes
 *   owned        := [ topic string | partitions [i32] ]
 *
 * https://github.com/apache/kafka/blob/trunk/clients/src/main/resources/common/message/ConsumerProtocolSubscription.json
 */
const VERSION = 1;

export function encodeSubscription({ topics, owned }: Subscription): Buffer {
  const writer = Writer.create()
    .appendInt16(VERSION)
    .appendArray([...topics], (each, topic) => each.appendString(topic, false), false, false)
    .appendBytes(null, false);
  return withPartitions(writer, owned).buffer;
}

export function decodeSubscription(bytes: Buffer): Subscription {
  const reader = Reader.from(bytes);
  const version = reader.readInt16();
  const topics = reader.readArray(() => reader.readString(false), false, false);
  reader.readBytes(false);
  return { topics, owned: version < VERSION ? [] : readPartitions(reader) };
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const writer = Writer.create().appendInt16(VERSION);
  return withPartitions(writer, partitions).appendBytes(null, false).buffer;
}

/** A member that was given nothing is sent nothing. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return [];
  const reader = Reader.from(bytes);
  reader.readInt16();
  return readPartitions(reader);
}

function withPartitions(writer: Writer, partitions: readonly TopicPartition[]): Writer {
  return writer.appendArray(
    [...Map.groupBy(partitions, ({ topic }) => topic)],
    (each, [topic, those]) =>
      each
        .appendString(topic, false)
        .appendArray(those, (one, { partition }) => one.appendInt32(partition), false, false),
    false,
    false,
  );
}

function readPartitions(reader: Reader): TopicPartition[] {
  return reader
    .readArray(
      () => {
        const topic = reader.readString(false);
        const partitions = reader.readArray(() => reader.readInt32(), false, false);
        return partitions.map((partition) => ({ topic, partition }));
      },
      false,
      false,
    )
    .flat();
}
