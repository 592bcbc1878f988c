import { createAPI, fetchV12, type Reader, ResponseError, type Writer } from '@platformatic/kafka';
import type { TopicPartition } from '../../ports/event-log.ts';

export type FetchOptions = TopicPartition &
  Readonly<{
    offset: number;
    /** A batch that is larger comes whole all the same. */
    maxBytes: number;
    /** How long the broker may wait for a first byte. */
    maxWaitMs: number;
    isolation: 'committed' | 'uncommitted';
  }>;

export type Fetched = Readonly<{
  highWatermark: number;
  /** Each transaction that was aborted and has records here: its producer, and where it begins. */
  aborted: readonly Readonly<{ producerId: bigint; firstOffset: number }>[];
  /** Record batches, back to back; the last may be cut short. The memory is nobody else's. */
  bytes: Buffer;
}>;

/** Of one partition. The library's own decodes every record into objects of many fields. */
export const fetch = createAPI<[FetchOptions], Fetched>(
  fetchV12.api.key,
  fetchV12.api.version,
  createRequest,
  parseResponse,
);

const NO_SESSION = 0;
const SESSIONLESS = -1;
const UNKNOWN_EPOCH = -1;

function createRequest(options: FetchOptions): Writer {
  const { topic, partition, offset, maxBytes, maxWaitMs, isolation } = options;
  const wanted = {
    partition,
    currentLeaderEpoch: UNKNOWN_EPOCH,
    fetchOffset: BigInt(offset),
    lastFetchedEpoch: UNKNOWN_EPOCH,
    partitionMaxBytes: maxBytes,
  };
  return fetchV12.createRequest(
    maxWaitMs,
    1,
    maxBytes,
    isolation === 'committed' ? 1 : 0,
    NO_SESSION,
    SESSIONLESS,
    [{ topicId: topic, partitions: [wanted] }],
    [],
    '',
  );
}

/*
 * Fetch Response (Version: 12) => throttle_time_ms error_code session_id [responses] TAG_BUFFER
 *   responses => topic [partitions] TAG_BUFFER
 *     partitions => partition_index error_code high_watermark last_stable_offset log_start_offset
 *       [aborted_transactions] preferred_read_replica records TAG_BUFFER
 *       aborted_transactions => producer_id first_offset TAG_BUFFER
 */
function parseResponse(_: number, apiKey: number, apiVersion: number, reader: Reader): Fetched {
  const fail = (code: number): never => {
    throw new ResponseError(apiKey, apiVersion, { '/': [code, null] }, undefined);
  };
  reader.readInt32();
  const error = reader.readInt16();
  if (error !== 0) fail(error);
  reader.readInt32();
  const [fetched] = reader
    .readArray(
      () => {
        reader.readString();
        return reader.readArray(
          (): Fetched => {
            reader.readInt32();
            const partitionError = reader.readInt16();
            if (partitionError !== 0) fail(partitionError);
            const highWatermark = Number(reader.readInt64());
            reader.readInt64();
            reader.readInt64();
            const aborted = reader.readArray(() => ({
              producerId: reader.readInt64(),
              firstOffset: Number(reader.readInt64()),
            }));
            reader.readInt32();
            return { highWatermark, aborted, bytes: reader.readBytes() };
          },
          true,
          true,
        );
      },
      true,
      true,
    )
    .flat();
  return fetched ?? fail(UNKNOWN_SERVER_ERROR);
}

const UNKNOWN_SERVER_ERROR = -1;
