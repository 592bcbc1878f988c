import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { Lake } from '../../batch/lake/lake.ts';
import { valueModesOf } from '../../batch/lake/column-type.ts';
import { LakeWriter } from '../../batch/lake/lake-writer.ts';
import type { ConnectorConfig, ConnectorEngine } from '../../capture/connector-config.ts';
import { messageTopic } from '../../domain/logical-message.ts';
import type { LakeWriterStatus } from '../../domain/status.ts';
import { systemClock } from '../../lib/clock.ts';
import { runTogether } from '../../lib/run-together.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Part } from '../compose.ts';
import { type DescribedTable, describeTables } from '../described-tables.ts';
import { LAKE_DEAD_LETTERS } from '../topics.ts';
import { copiesLeftIn } from './copies-left.ts';
import { goneTables } from './gone-tables.ts';
import { type BatchPlaces, openEngine } from './open.ts';

/** All tables of a flush are asked for one after the other. */
const DESCRIBED_FOR_MS = 500;
/** The ends of a transaction in Kafka come to its partitions one after the other. */
const READABLE_WITHIN_MS = 5000;
/** No change tells that a table is gone. */
const LOOK_FOR_GONE_EVERY_MS = 60_000;

export type LakePartOptions = Readonly<{
  places: BatchPlaces;
  log: EventLog;
  connector: ConnectorConfig;
  /** Of the source, whose catalogue tells the types of columns. */
  connection: ConnectionFacts;
  engine: ConnectorEngine;
  /** Has a table copied anew. */
  requestCopy: (topic: string, signal: AbortSignal) => Promise<void>;
  /** The log. */
  isInKafka: boolean;
  onChange: () => void;
  /** How often it is looked which tables are gone. */
  lookEveryMs?: number;
}>;

/** Writes the captured tables into the lake. */
export class LakePart implements Part {
  readonly name = 'lake';
  readonly #options: LakePartOptions;
  #writer: LakeWriter | undefined;
  #status: LakeWriterStatus | undefined;
  #gone: readonly string[] = [];
  /** What ended it, until it writes again. */
  #failure: unknown;

  constructor(options: LakePartOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#write(signal);
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#writer = undefined;
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { places, log, connector, connection, engine, requestCopy, isInKafka, onChange } =
      this.#options;
    const { name, topicPrefix } = connector;
    const modes = valueModesOf(connector.options, engine === 'native');
    const lake = await Lake.open(places.lake.dir);
    await using sql = await openEngine(places);
    const described = remembered(
      () => describeTables(connection, connector, engine),
      DESCRIBED_FOR_MS,
    );
    const messages = messageTopic(topicPrefix);
    const isTable = (topic: string): boolean =>
      isTableTopic(topic, topicPrefix) && topic !== messages;
    const writer = new LakeWriter({
      lake,
      log,
      engine: sql,
      clock: systemClock,
      isTable,
      messageTopic: messages,
      deadLetterTopic: LAKE_DEAD_LETTERS,
      describe: async (topic) => (await described()).find((table) => table.topic === topic),
      onMissingHistory: (topic) => requestCopy(topic, signal),
      // Debezium stores nothing that tells how far a copy is in the log.
      ...(engine === 'native' && {
        copiesLeft: copiesLeftIn(log, name, topicPrefix, isInKafka ? READABLE_WITHIN_MS : 0),
      }),
      modes,
      flushEveryMs: places.lake.flushMs,
      onStatus: (status) => {
        this.#status = status;
        onChange();
      },
    });
    this.#writer = writer;
    this.#failure = undefined;
    await runTogether(signal, [
      (either) => writer.run(either),
      (either) => this.#lookForGone({ lake, isTable, described }, either),
    ]);
  }

  async #lookForGone(
    {
      lake,
      isTable,
      described,
    }: Readonly<{
      lake: Lake;
      isTable: (topic: string) => boolean;
      described: () => Promise<readonly DescribedTable[]>;
    }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { lookEveryMs = LOOK_FOR_GONE_EVERY_MS, onChange } = this.#options;
    while (!signal.aborted) {
      const gone = await goneTables(await lake.manifest(), isTable, described);
      if (gone !== undefined) this.#gone = gone;
      onChange();
      await systemClock.sleep(lookEveryMs, signal);
    }
  }

  /**
   * Resolves when the lake holds all that is in the log now; at once before it is first written. Rejects
   * when the writer fails or ends before, and with what it failed of until it writes again.
   */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#writer?.flush();
  }

  status(): LakeWriterStatus | undefined {
    if (this.#status === undefined || this.#gone.length === 0) return this.#status;
    return { ...this.#status, gone: this.#gone };
  }
}

/** What it gives is given again for so long; a failure is not. */
function remembered<T>(ask: () => Promise<T>, forMs: number): () => Promise<T> {
  let known: Readonly<{ value: T; atMs: number }> | undefined;
  return async () => {
    if (known === undefined || performance.now() - known.atMs > forMs)
      known = { value: await ask(), atMs: performance.now() };
    return known.value;
  };
}

/** `<prefix>.<schema>.<table>` */
function isTableTopic(topic: string, prefix: string): boolean {
  return topic.startsWith(`${prefix}.`) && topic.indexOf('.', prefix.length + 1) > 0;
}
