import { ProtocolError } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import type { LogBatch, TopicPartition } from '../../ports/event-log.ts';
import type { Cluster } from './cluster.ts';
import { hasAnswer } from './errors.ts';
import type { Fetched, FetchOptions } from './fetch-request.ts';
import type { Lane } from './lane.ts';
import { endOf, startOf } from './offsets.ts';
import { fetch } from './protocol.ts';
import { type Batch, batchesOf, decodeBatch } from './record-batch-reader.ts';
import { retried } from './retry.ts';

/** How long a broker waits for something new before it answers that there is nothing. */
const FETCH_WAIT_MS = 5000;
/** Above that wait: a broker that is silent for so long is gone. */
const SILENCE_MS = 8000;
const FETCH_BYTES = 1_048_576;

/** Records are handed on in lists of about this many, batches of more by themselves. */
const RECORDS_AT_ONCE = 1000;

/**
 * Reads one partition over a connection of its own: what is new comes within a round trip, and
 * nothing is asked for in vain while there is nothing. At most two answers are held in memory.
 */
export async function* readPartition(
  cluster: Cluster,
  from: TopicPartition & { offset: number },
  signal: AbortSignal,
): AsyncGenerator<LogBatch, void, undefined> {
  if (signal.aborted) return;
  const lane = cluster.lane(FETCH_WAIT_MS + SILENCE_MS);
  const close = (): void => void cluster.close(lane);
  signal.addEventListener('abort', close, { once: true });
  const ask = (offset: number) =>
    fetched(cluster, lane, { ...from, ...WAITING, offset, isolation: 'committed' }, signal);
  try {
    let next = from.offset;
    let answer = ask(next);
    while (!signal.aborted) {
      const batches = committed(await answer);
      const start = next;
      next = batches.at(-1)?.batch.nextOffset ?? next;
      answer = ask(next);
      // It is awaited in the next turn, if there is one.
      answer.catch(() => undefined);
      yield* decoded(batches, start);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', close);
    await cluster.close(lane);
  }
}

const WAITING = { maxBytes: FETCH_BYTES, maxWaitMs: FETCH_WAIT_MS };

function* decoded(
  batches: readonly CommittedBatch[],
  from: number,
): Generator<LogBatch, void, undefined> {
  let records: LogRecord[] = [];
  for (const [index, { batch, isAborted }] of batches.entries()) {
    if (!isAborted) {
      const more = decodeBatch(batch, from);
      records = records.length === 0 ? more : records.concat(more);
    }
    if (records.length >= RECORDS_AT_ONCE || index === batches.length - 1) {
      yield { records, next: batch.nextOffset };
      records = [];
    }
  }
}

/** What stands from an offset on. Fails with `offset_out_of_range`, telling what there is. */
async function fetched(
  cluster: Cluster,
  lane: Lane,
  options: FetchOptions,
  signal?: AbortSignal,
): Promise<Fetched> {
  const { topic, partition, offset } = options;
  const facts = { topic, partition, offset };
  try {
    return await retried(async () => lane.call(await cluster.leaderOf(options), fetch, options), {
      facts,
      forget: () => cluster.forget(topic),
      ...(signal && { signal }),
    });
  } catch (error) {
    if (!(error instanceof MillraceError) || !hasAnswer(error.cause, 'OFFSET_OUT_OF_RANGE')) {
      throw error;
    }
    const [start, end] = await Promise.all([startOf(cluster, options), endOf(cluster, options)]);
    throw new MillraceError('offset_out_of_range', { ...facts, start, end }, error);
  }
}

/**
 * What stands from an offset on where something does: an answer without a whole batch, as one that
 * has just become the leader may give, is asked for again, with pauses. Fails with
 * `log_unreachable` when there is still none at the end of patience.
 */
export function fetchedThere(
  cluster: Cluster,
  lane: Lane,
  { topic, partition, offset, isolation }: Omit<FetchOptions, 'maxBytes' | 'maxWaitMs'>,
): Promise<Fetched> {
  const there = { topic, partition, offset, isolation, maxBytes: FETCH_BYTES, maxWaitMs: 0 };
  return retried(
    async () => {
      const answer = await fetched(cluster, lane, there);
      if (batchesOf(answer.bytes).next().done) throw new ProtocolError('OFFSET_NOT_AVAILABLE');
      return answer;
    },
    { facts: { topic, partition, offset }, forget: () => cluster.forget(topic) },
  );
}

export type CommittedBatch = Readonly<{ batch: Batch; isAborted: boolean }>;

/**
 * The batches of an answer that was asked for as committed, with those told apart whose
 * transaction was aborted: from where it begins, until the batch that ends it.
 * See https://kafka.apache.org/documentation/#consumerconfigs_isolation.level
 */
export function committed({ bytes, aborted }: Fetched): readonly CommittedBatch[] {
  const upcoming = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const current = new Set<bigint>();
  return [...batchesOf(bytes)].map((batch) => {
    while (upcoming[0] !== undefined && upcoming[0].firstOffset < batch.nextOffset) {
      current.add(upcoming[0].producerId);
      upcoming.shift();
    }
    if (batch.ends === 'abort') current.delete(batch.producerId);
    return { batch, isAborted: batch.isTransactional && current.has(batch.producerId) };
  });
}
