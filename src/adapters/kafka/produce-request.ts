import { createAPI, produceV11, Writer } from '@platformatic/kafka';

/** One encoded batch of one partition; the protocol allows one a partition in a request. */
export type PartitionBatch = Readonly<{ topic: string; partition: number; batch: Uint8Array }>;

type Arguments = [transactionalId: string, timeoutMs: number, batches: readonly PartitionBatch[]];
type Response = ReturnType<typeof produceV11.parseResponse>;

/** The library's own takes messages one by one, and encodes them. */
export const produce = createAPI<Arguments, Response>(
  produceV11.api.key,
  produceV11.api.version,
  createRequest,
  produceV11.parseResponse,
);

const ALL_IN_SYNC = -1;

/*
 * Produce Request (Version: 11) => transactional_id acks timeout_ms [topic_data] TAG_BUFFER
 *   topic_data => name [partition_data] TAG_BUFFER
 *     partition_data => index records TAG_BUFFER
 */
function createRequest(...[transactionalId, timeoutMs, batches]: Arguments): Writer {
  return Writer.create()
    .appendString(transactionalId)
    .appendInt16(ALL_IN_SYNC)
    .appendInt32(timeoutMs)
    .appendArray([...Map.groupBy(batches, ({ topic }) => topic)], (topics, [topic, partitions]) => {
      topics.appendString(topic).appendArray(partitions, (writer, { partition, batch }) => {
        writer
          .appendInt32(partition)
          .appendBytes(Buffer.from(batch.buffer, batch.byteOffset, batch.length));
      });
    })
    .appendTaggedFields();
}
