import { LmdbEventLog } from '../adapters/lmdb/event-log.ts';
import { LmdbStore } from '../adapters/lmdb/store.ts';
import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import type { ConnectorConfig } from '../capture/connector-config.ts';
import type { Status } from '../domain/status.ts';
import { systemClock } from '../lib/clock.ts';
import type { EventLog, TopicDeclaration } from '../ports/event-log.ts';
import type { Store } from '../ports/store.ts';
import { TaskRunner, type TaskRunnerOptions } from '../stream/tasks/task-runner.ts';
import type { Config } from './config/config.ts';
import { placesIn } from './config/data-directory.ts';
import type { Pipeline } from './pipeline.ts';
import { COMMANDS, deadLetterTopic, declaredTopics } from './topics.ts';

/** Something that runs and tells how it is. */
export type Part = Readonly<{
  name: string;
  run(signal: AbortSignal): Promise<void>;
  status?(): Status | Promise<Status>;
}>;

/** What it takes to find log and store. */
export type DataPlaces = Pick<Config, 'dataDir' | 'log' | 'store' | 'retention'>;

/** Embedded, the caller holds the data directory; threads of one process share `wake`. */
export async function openLog(
  { dataDir, log, retention }: DataPlaces,
  wake: SharedArrayBuffer,
): Promise<EventLog> {
  if (log.kind === 'embedded')
    return LmdbEventLog.open({ dir: placesIn(dataDir).log, wake, retention });
  // Only who has such a server pays for its client.
  const { KafkaEventLog } = await import('../adapters/kafka/event-log.ts');
  return KafkaEventLog.open(log, { retention });
}

/** Embedded, the caller holds the data directory. */
export async function openStore({ dataDir, store }: DataPlaces): Promise<Store> {
  if (store.kind === 'embedded') return LmdbStore.open({ dir: placesIn(dataDir).store });
  const { RedisStore } = await import('../adapters/redis/store.ts');
  return RedisStore.open(store);
}

/** All topics that must be there before any part starts: ours, and those that processors read. */
export function topicsOf(pipeline: Pipeline): TopicDeclaration[] {
  const read = new Set(pipeline.processors.flatMap(({ topics }) => topics));
  const partitions = partitionsOf(pipeline);
  return [
    ...declaredTopics(pipeline.processors.map(({ name }) => name)),
    ...[...read].map(
      (name) => ({ name, partitions: partitions(name), cleanup: 'delete' }) as const,
    ),
  ];
}

export function partitionsOf(pipeline: Pick<Pipeline, 'partitions'>): (topic: string) => number {
  return (topic) => pipeline.partitions?.[topic] ?? 1;
}

/** What the part is called that runs a processor. */
export function processorPart(name: string): string {
  return `processor ${name}`;
}

/** The processors of a pipeline, each a part of its own, so that one that fails leaves the others alone. */
export function composeProcessors(
  pipeline: Pipeline,
  { log, store }: Readonly<{ log: EventLog; store: Store }>,
  {
    bufferRecords,
    ...hooks
  }: Config['stream'] & Pick<TaskRunnerOptions, 'onMissingHistory' | 'onChange'>,
): Part[] {
  // Of each partition, one commit is under way while the next is filled.
  const limits = { maxRecords: Math.floor(bufferRecords / 2) };
  return pipeline.processors.map((processor) => {
    const runner = new TaskRunner({
      processor,
      log,
      store,
      clock: systemClock,
      commandTopic: COMMANDS,
      deadLetterTopic: deadLetterTopic(processor.name),
      limits,
      ...hooks,
    });
    return {
      name: processorPart(processor.name),
      run: (signal) => runner.run(signal),
      status: () => runner.status(),
    };
  });
}

/** Where the connector finds its source; the environment adds what its file leaves out. */
export function connectionOf(config: ConnectorConfig, source: Config['source']): ConnectionFacts {
  const fromEnvironment = source.kind === 'server' ? source.server : undefined;
  const sslmode = config.database.sslmode as ConnectionFacts['sslmode'];
  const { host, port, user, password, database, sslrootcert } = config.database;
  const certificate = sslrootcert ?? fromEnvironment?.sslrootcert;
  return {
    host,
    port,
    user,
    password,
    database,
    sslmode: sslmode ?? fromEnvironment?.sslmode ?? 'prefer',
    ...(certificate === undefined ? {} : { sslrootcert: certificate }),
  };
}
