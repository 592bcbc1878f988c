import { LmdbEventLog, type LmdbEventLogOptions } from '../adapters/lmdb/event-log.ts';
import { LmdbStore } from '../adapters/lmdb/store.ts';
import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import type { ConnectorConfig } from '../capture/connector-config.ts';
import { MillraceError } from '../domain/errors.ts';
import type { Status } from '../domain/status.ts';
import { systemClock } from '../lib/clock.ts';
import type { EventLog, TopicDeclaration } from '../ports/event-log.ts';
import type { Store } from '../ports/store.ts';
import { tickTopic } from '../stream/stage/topology-subject.ts';
import { compile, type Compiled } from '../stream/topology/compile.ts';
import { type Serving, servingProblems } from '../stream/topology/served-prefixes.ts';
import type { Topology } from '../stream/topology/topology.ts';
import type { Processor } from '../stream/processor.ts';
import { FIRST } from '../stream/rebuild/generation.ts';
import {
  GenerationRunner,
  type GenerationRunnerOptions,
} from '../stream/rebuild/generation-runner.ts';
import { TaskRunner, type TaskRunnerOptions } from '../stream/tasks/task-runner.ts';
import type { Config } from './config/config.ts';
import { placesIn } from './config/data-directory.ts';
import type { Environment } from './config/environment.ts';
import type { Pipeline } from './pipeline.ts';
import { processorNames, readSinks } from './sinks.ts';
import { COMMANDS, deadLetterTopic, declaredTopics, REBUILDS } from './topics.ts';

/** Something that runs and tells how it is. */
export type Part = Readonly<{
  name: string;
  run(signal: AbortSignal): Promise<void>;
  /** Undefined while there is nothing to tell. */
  status?(): Status | undefined | Promise<Status | undefined>;
}>;

/** What it takes to find log and store. */
export type DataPlaces = Pick<Config, 'dataDir' | 'log' | 'store' | 'retention'>;

/**
 * Embedded, the caller holds the data directory; threads of one process share `wake`, and may have
 * a share of a group's partitions each.
 */
export async function openLog(
  { dataDir, log, retention }: DataPlaces,
  wake: SharedArrayBuffer,
  ofThread: Pick<LmdbEventLogOptions, 'share' | 'lingerMs'> = {},
): Promise<EventLog> {
  if (log.kind === 'embedded')
    return LmdbEventLog.open({
      dir: placesIn(dataDir).log,
      wake,
      retention,
      ...ofThread,
    });
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
  const partitions = partitionsOf(pipeline);
  const processors = compiledOf(pipeline);
  const written = new Map(processors.flatMap(writtenBy).map((each) => [each.name, each]));
  const read = new Set(processors.flatMap(readBy).filter((topic) => !written.has(topic)));
  return [
    ...declaredTopics(processorNames(pipeline)),
    ...written.values(),
    ...[...read].map(
      (name) => ({ name, partitions: partitions(name), cleanup: 'delete' }) as const,
    ),
  ];
}

/** What runs: topologies cut into stages. Throws `topology_invalid`. */
export function compiledOf(pipeline: Pipeline): readonly (Processor | Compiled)[] {
  return codesOf(pipeline).map((codeOf) => codeOf(FIRST));
}

/**
 * Of each processor, what runs as which generation: topologies cut into stages for the partitions
 * that their topics have. Throws `topology_invalid`.
 */
export function codesOf(
  pipeline: Pipeline,
): readonly ((generation: number) => Processor | Compiled)[] {
  const serving = pipeline.processors.flatMap((processor) =>
    'nodes' in processor ? servingIn(processor) : [],
  );
  const problems = [...servingProblems(serving), ...writingProblems(pipeline)];
  if (problems.length > 0)
    throw new MillraceError('topology_invalid', { pipeline: pipeline.name, problems });
  const written = new Map<string, number>();
  const partitions = partitionsOf(pipeline);
  return pipeline.processors.map((processor) => {
    if (!('nodes' in processor)) return () => processor;
    const codeOf = (generation: number) =>
      compile(processor, (topic) => written.get(topic) ?? partitions(topic), generation);
    for (const { name, partitions: count } of codeOf(FIRST).declares) written.set(name, count);
    return codeOf;
  });
}

function servingIn({ name, nodes }: Topology): Serving[] {
  return nodes.flatMap(({ id, serves }) =>
    serves === undefined ? [] : [{ who: `${id} of ${name}`, ...serves }],
  );
}

/** The connector alone writes the topics of tables. */
function writingProblems({ processors }: Pipeline): string[] {
  const topologies = processors.filter((processor) => 'nodes' in processor);
  const nodes = topologies.flatMap((topology) => topology.nodes);
  const tables = new Set(
    nodes.flatMap(({ source }) => (source?.format === 'changes' ? [source.topic] : [])),
  );
  return topologies.flatMap(({ name, nodes: own }) =>
    own.flatMap(({ id, writes }) =>
      writes !== undefined && tables.has(writes.topic)
        ? [`${id} of ${name} writes to ${writes.topic}, which is a table's`]
        : [],
    ),
  );
}

function readBy(processor: Processor | Compiled): readonly string[] {
  return 'stages' in processor ? processor.stages.map(({ topic }) => topic) : processor.topics;
}

function writtenBy(processor: Processor | Compiled): readonly TopicDeclaration[] {
  if (!('stages' in processor)) return [];
  const { declares, isTimed, topology } = processor;
  const ticks = { name: tickTopic(topology.name), partitions: 1, cleanup: 'delete' } as const;
  return isTimed ? [...declares, ticks] : declares;
}

export function partitionsOf(pipeline: Pick<Pipeline, 'partitions'>): (topic: string) => number {
  return (topic) => pipeline.partitions?.[topic] ?? 1;
}

/** What the part is called that runs a processor. */
export function processorPart(name: string): string {
  return `processor ${name}`;
}

/**
 * The processors of a pipeline, and the sinks of its topologies, each a part of its own, so that one
 * that fails leaves the others alone. `environment` fills in what sinks take from it.
 */
export function composeProcessors(
  pipeline: Pipeline,
  { log, store }: Readonly<{ log: EventLog; store: Store }>,
  {
    bufferRecords,
    environment = {},
    onMissingHistory,
    ...hooks
  }: Pick<Config['stream'], 'bufferRecords'> &
    Readonly<{ environment?: Environment }> &
    Pick<TaskRunnerOptions, 'onMissingHistory' | 'progress' | 'onChange'>,
): Part[] {
  // Of each partition, one commit is under way while the next is filled.
  const maxRecords = Math.floor(bufferRecords / 2);
  const asking = onMissingHistory === undefined ? {} : { onMissingHistory };
  const { processors: sinks } = readSinks(pipeline, environment);
  const partOf = (name: string): Omit<GenerationRunnerOptions, 'processorOf'> => ({
    name,
    log,
    store,
    clock: systemClock,
    commandTopic: COMMANDS,
    requestTopic: REBUILDS,
    deadLetterTopic: deadLetterTopic(name),
    limits: { maxRecords },
    ...hooks,
  });
  const processors = codesOf(pipeline).map((processorOf) => {
    const first = processorOf(FIRST);
    const name = 'stages' in first ? first.topology.name : first.name;
    return { name, runner: new GenerationRunner({ ...partOf(name), ...asking, processorOf }) };
  });
  // What a sink reads comes from no table: nobody can copy it anew.
  const handing = sinks.map((processor) => {
    const { name, sink } = processor;
    const limits = { maxRecords: Math.min(maxRecords, sink.batchRecords) };
    return { name, runner: new TaskRunner({ ...partOf(name), processor, limits }) };
  });
  return [...processors, ...handing].map(({ name, runner }) => ({
    name: processorPart(name),
    run: (signal) => runner.run(signal),
    status: () => runner.status(),
  }));
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
