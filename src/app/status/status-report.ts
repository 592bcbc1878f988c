import type { ConnectorStatus, ProcessorStatus } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { partitionsOfTopic } from '../operations/consume.ts';
import { processorPart } from '../compose.ts';
import { withStoredTasks } from '../reconcile/stored-tasks.ts';
import type { OperationContext, RunningParts } from '../operations/operation-context.ts';
import type { StatusReport, TopicFacts } from '../operations/operations.ts';

/** One look at everything: what the parts told last, and what log and store hold. */
export async function readStatus(context: OperationContext): Promise<StatusReport> {
  const { dataDir, log, store, statuses, clock, running, servers } = context;
  const [topics, logBytes, storeBytes] = await Promise.all([
    Array.fromAsync(readTopics(log)),
    log.sizeBytes(),
    store?.sizeBytes(),
  ]);
  const { generator, lake, batch, workers } = statuses;
  const connector = statuses.connector && connectorNow(statuses.connector, running);
  const told = statuses.processors.map((each) => processorNow(each, running));
  // Of a process that runs everything, what it told is all there is to know.
  const areShared = running === undefined && store !== undefined && servers?.kafka !== undefined;
  const rates = running?.rates() ?? (workers.length > 0 ? statuses.rates() : undefined);
  return {
    running: running !== undefined || workers.length > 0,
    atMs: clock(),
    dataDir,
    urls: { ...servers, ...(running && { postgres: running.source.url }) },
    workers,
    processors: areShared ? await withStoredTasks(told, topics, store) : told,
    topics,
    failures: running?.failures() ?? [],
    ...(running?.process && {
      pid: running.process.pid,
      startedAtMs: running.process.startedAtMs,
    }),
    ...(running && { pipeline: running.pipeline.name }),
    ...(rates && { rates }),
    ...(connector && { connector }),
    ...(generator && { generator }),
    ...(lake && { lake }),
    ...(batch && { batch }),
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
