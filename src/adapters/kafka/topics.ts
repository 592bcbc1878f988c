import { ConfigResourceTypes } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import type { TopicDeclaration } from '../../ports/event-log.ts';
import type { Cluster } from './cluster.ts';
import { answersOf } from './errors.ts';
import { POSITIONS } from './positions.ts';
import { createTopics, describeConfigs } from './protocol.ts';
import { retried } from './retry.ts';

export type Retention = Readonly<{ ms: number; bytes: number }>;

const CREATE_TIMEOUT_MS = 6000;
const BROKERS_DEFAULT = -1;
const NO_LIMIT = '9223372036854775807';
const TOPIC = ConfigResourceTypes.TOPIC;
const EXISTS = 'TOPIC_ALREADY_EXISTS';

/** Fails with `topic_partitions_changed` before anything is created. */
export async function ensureTopics(
  cluster: Cluster,
  declarations: readonly TopicDeclaration[],
  retention: Retention,
): Promise<void> {
  const missing = await missingOf(cluster, declarations);
  await create(
    cluster,
    missing.map((declaration) => ({
      ...declaration,
      settings: settingsOf(declaration, retention),
    })),
  );
  // Someone else may have created one meanwhile, in another way.
  await missingOf(cluster, missing);
}

/**
 * Small segments, as only closed ones are compacted, and whoever opens a producer reads it all; the
 * ends of transactions may go as soon as what they ended has gone.
 */
export async function ensurePositions(cluster: Cluster): Promise<void> {
  const declaration = { name: POSITIONS.topic, partitions: 1, cleanup: 'compact' } as const;
  if ((await missingOf(cluster, [declaration])).length === 0) return checkPositions(cluster);
  const settings = {
    'cleanup.policy': 'compact',
    'segment.bytes': 1_048_576,
    'min.cleanable.dirty.ratio': 0.01,
    'delete.retention.ms': 60_000,
  };
  await create(cluster, [{ ...declaration, settings }]);
}

/** Not by their beginning: so do the names of Debezium's heartbeats begin. */
const KAFKAS_OWN: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
]);

/** In name order, without those that Kafka or this adapter keeps for itself. */
export async function listTopics(cluster: Cluster): Promise<readonly TopicDeclaration[]> {
  const topics = (await cluster.topics()).filter(
    ({ name }) => !KAFKAS_OWN.has(name) && name !== POSITIONS.topic,
  );
  const policies = await policiesOf(
    cluster,
    topics.map(({ name }) => name),
  );
  return topics
    .map(({ name, partitions }) => ({
      name,
      partitions,
      cleanup: policies.get(name)?.includes('compact') ? ('compact' as const) : ('delete' as const),
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** A topic that was made by hand, and loses what is old, would lose where capture stands. */
async function checkPositions(cluster: Cluster): Promise<void> {
  const found = (await policiesOf(cluster, [POSITIONS.topic])).get(POSITIONS.topic);
  if (found !== 'compact') {
    const facts = { topic: POSITIONS.topic, expected: 'cleanup.policy=compact', found };
    throw new MillraceError('log_unsuitable', facts);
  }
}

/** The cleanup policies of topics, as Kafka writes them. */
async function policiesOf(
  cluster: Cluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const resources = topics.map((resourceName) => ({
    resourceType: TOPIC,
    resourceName,
    configurationKeys: ['cleanup.policy'],
  }));
  const { results } = await retried(() => cluster.call(cluster.any(), describeConfigs, resources), {
    facts: { asked: 'settings of topics' },
  });
  return new Map(
    results.map(({ resourceName, configs }) => [resourceName, configs[0]?.value ?? '']),
  );
}

async function missingOf(
  cluster: Cluster,
  declarations: readonly TopicDeclaration[],
): Promise<readonly TopicDeclaration[]> {
  if (declarations.length === 0) return [];
  const existing = new Map(
    (await cluster.topics()).map(({ name, partitions }) => [name, partitions]),
  );
  return declarations.filter(({ name, partitions }) => {
    const found = existing.get(name);
    if (found !== undefined && found !== partitions) {
      throw new MillraceError('topic_partitions_changed', {
        topic: name,
        expected: partitions,
        found,
      });
    }
    return found === undefined;
  });
}

/**
 * Records have the times of their changes, which retention and `offsetAt` go by, also where the
 * clock of the source is ahead of the brokers'.
 */
function settingsOf({ cleanup }: TopicDeclaration, { ms, bytes }: Retention) {
  const common = {
    'cleanup.policy': cleanup,
    'message.timestamp.type': 'CreateTime',
    'message.timestamp.after.max.ms': NO_LIMIT,
  };
  return cleanup === 'compact'
    ? common
    : { ...common, 'retention.ms': ms, 'retention.bytes': bytes };
}

type NewTopic = Readonly<{
  name: string;
  partitions: number;
  settings: Readonly<Record<string, string | number>>;
}>;

async function create(cluster: Cluster, topics: readonly NewTopic[]): Promise<void> {
  if (topics.length === 0) return;
  const requests = topics.map(({ name, partitions, settings }) => ({
    name,
    numPartitions: partitions,
    replicationFactor: BROKERS_DEFAULT,
    assignments: [],
    configs: Object.entries(settings).map(([key, value]) => ({ name: key, value: String(value) })),
  }));
  await retried(
    async () => {
      try {
        await cluster.call(
          await cluster.controller(),
          createTopics,
          requests,
          CREATE_TIMEOUT_MS,
          false,
        );
      } catch (error) {
        const answers = answersOf(error);
        if (answers.length === 0 || answers.some((name) => name !== EXISTS)) throw error;
      }
    },
    { facts: { asked: 'to create topics', topics: topics.map(({ name }) => name) } },
  );
  for (const { name } of topics) cluster.expect(name);
  await Promise.all(topics.map(({ name }) => cluster.partitionsOf(name)));
}
