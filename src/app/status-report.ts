import type { ConnectorStatus, ProcessorStatus } from '../domain/status.ts';
import type { EventLog } from '../ports/event-log.ts';
import { partitionsOfTopic } from './consume.ts';
import { processorPart } from './compose.ts';
import type { OperationContext, RunningParts } from './operation-context.ts';
import type { StatusReport, TopicFacts } from './operations.ts';

/** One look at everything: what the parts told last, and what log and store hold. */
export async function readStatus(context: OperationContext): Promise<StatusReport> {
  const { dataDir, log, store, statuses, clock, running } = context;
  const [topics, logBytes, storeBytes] = await Promise.all([
    Array.fromAsync(readTopics(log)),
    log.sizeBytes(),
    store.sizeBytes(),
  ]);
  const { generator } = statuses;
  const connector = statuses.connector && connectorNow(statuses.connector, running);
  const processors = statuses.processors.map((each) => processorNow(each, running));
  return {
    running: running !== undefined,
    atMs: clock(),
    dataDir,
    urls: running === undefined ? {} : { postgres: running.source.url },
    processors,
    topics,
    failures: running?.failures() ?? [],
    ...(running && {
      pid: running.pid,
      startedAtMs: running.startedAtMs,
      pipeline: running.pipeline.name,
      rates: running.rates(),
    }),
    ...(connector && { connector }),
    ...(generator && { generator }),
    ...(logBytes !== undefined && { logBytes }),
    ...(storeBytes !== undefined && { storeBytes }),
  };
}

/** What a part told last is old when the log takes nothing: a full disk stops the statuses, too. */
function connectorNow(told: ConnectorStatus, running: RunningParts | undefined): ConnectorStatus {
  const problem = running?.waitingFor('connector');
  return problem === undefined ? told : { ...told, state: 'waiting', problem };
}

function processorNow(told: ProcessorStatus, running: RunningParts | undefined): ProcessorStatus {
  const problem = running?.waitingFor(processorPart(told.name));
  return problem === undefined ? told : { ...told, state: 'failed', problem };
}

export async function* readTopics(log: EventLog): AsyncGenerator<TopicFacts, void> {
  for (const topic of await log.topics()) {
    const partitions = await Promise.all(
      partitionsOfTopic(topic).map(async (partition) => ({
        partition: partition.partition,
        ...(await log.offsets(partition)),
      })),
    );
    yield {
      topic: topic.name,
      cleanup: topic.cleanup,
      partitions,
      records: partitions.reduce((sum, { start, end }) => sum + end - start, 0),
    };
  }
}
