import { MillraceError } from '../../domain/errors.ts';
import { messageTopic } from '../../domain/logical-message.ts';
import type { EventLog, TopicDeclaration } from '../../ports/event-log.ts';
import type { Options, OwnTopics } from './options.ts';

export type CapturedTable = Readonly<{
  schema: string;
  name: string;
  topic: string;
  estimatedRows: number;
}>;

/**
 * The topics that Debezium writes to. They are declared here, as nothing makes them by itself: a
 * table whose topic is missing holds up the whole connector.
 */
export class CapturedTopics {
  /** As of the last declaration. */
  tables: readonly CapturedTable[] = [];
  readonly #log: EventLog;
  readonly #messages: string;
  readonly #others: readonly string[];
  readonly #partitionsOf: (topic: string) => number;
  readonly #list: () => Promise<readonly CapturedTable[]>;
  readonly #declared = new Set<string>();

  constructor({
    log,
    own,
    options,
    topicPrefix,
    partitionsOf,
    tables,
  }: Readonly<{
    log: EventLog;
    own: OwnTopics;
    options: Options;
    topicPrefix: string;
    partitionsOf: (topic: string) => number;
    /** What the options select today. */
    tables: () => Promise<readonly CapturedTable[]>;
  }>) {
    this.#log = log;
    this.#partitionsOf = partitionsOf;
    this.#list = tables;
    this.#messages = messageTopic(topicPrefix);
    const heartbeats = options['heartbeat.topics.prefix'] ?? '__debezium-heartbeat';
    const hasTransactions = options['provide.transaction.metadata'] === 'true';
    this.#others = [
      own.signals,
      own.notifications,
      `${heartbeats}.${topicPrefix}`,
      ...(hasTransactions ? [`${topicPrefix}.transaction`] : []),
    ];
  }

  names(): readonly string[] {
    return this.tables.map(({ topic }) => topic);
  }

  /** Creates what is missing; fails with `topic_collision` and `topic_partitions_changed`. */
  async declare(): Promise<void> {
    const tables = await this.#list();
    refuseCollisions(tables);
    const declarations: TopicDeclaration[] = [
      ...this.#others.map((name) => ({ name, partitions: 1, cleanup: 'delete' }) as const),
      ...[this.#messages, ...tables.map(({ topic }) => topic)].map(
        (name) => ({ name, partitions: this.#partitionsOf(name), cleanup: 'delete' }) as const,
      ),
    ].filter(({ name }) => !this.#declared.has(name));
    if (declarations.length > 0) await this.#log.createTopics(declarations);
    for (const { name } of declarations) this.#declared.add(name);
    this.tables = tables;
  }

  /** The tables behind these topics, in their order; `topic_not_captured` where one has none. */
  tablesOf(topics: readonly string[], connector: string): readonly CapturedTable[] {
    const found = topics.map((topic) => this.tables.find((table) => table.topic === topic));
    const unknown = topics.filter((_, at) => found[at] === undefined).join(', ');
    if (unknown !== '')
      throw new MillraceError('topic_not_captured', { connector, topics: unknown });
    return found.filter((table) => table !== undefined);
  }
}

function refuseCollisions(tables: readonly CapturedTable[]): void {
  const byTopic = new Map<string, string>();
  for (const { schema, name, topic } of tables) {
    const table = `"${schema}"."${name}"`;
    const other = byTopic.get(topic);
    if (other !== undefined)
      throw new MillraceError('topic_collision', { topic, tables: `${other} and ${table}` });
    byTopic.set(topic, table);
  }
}
