import { randomUUID } from 'node:crypto';
import { MillraceError, remedyFor } from '../../domain/errors.ts';
import { formatLsn } from '../../domain/lsn.ts';
import { blocksOf } from '../../domain/record-block.ts';
import type { ConnectorState, ConnectorStatus } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import { must } from '../../lib/must.ts';
import { runTogether } from '../../lib/run-together.ts';
import type { ChangeSource, Slot, SourceIdentity } from '../../ports/change-source.ts';
import type { Connector } from '../../ports/connector.ts';
import type { EventLog, TopicDeclaration } from '../../ports/event-log.ts';
import { CopyWatch } from './copy-watch.ts';
import {
  completeOptions,
  hiderOf,
  type KafkaAccess,
  type Options,
  refuseInvalid,
} from './options.ts';
import { decideBeginning, offsetAt, positionIn } from './position.ts';
import { ConnectRest, type ConnectStatus } from './rest.ts';
import { failureIn, isHopeless, TaskFailures } from './task-failures.ts';
import { TopicProgress } from './topic-progress.ts';

const PLUGIN = 'io.debezium.connector.postgresql.PostgresConnector';
const LOOK_EVERY_MS = 1000;
/** A table without its topic holds up the whole connector, as nothing makes topics by itself. */
const DECLARE_EVERY_MS = 3000;
/** Workers tell each other by a topic what is to run. */
const STATE_PATIENCE_MS = 60_000;
const STATE_LOOK_MS = 100;

export type CapturedTable = Readonly<{
  schema: string;
  name: string;
  topic: string;
  estimatedRows: number;
}>;

export type DebeziumParts = Readonly<{
  /** Of Kafka Connect's REST interface. */
  url: string;
  name: string;
  /**
   * Those of connector.json. A placeholder of Connect, such as `${env:POSTGRES_PASSWORD}`, is for
   * the worker to fill in: then no secret stands in Connect's topics.
   */
  options: Options;
  topicPrefix: string;
  slot: string;
  publication: string;
  source: ChangeSource;
  /** In the same Kafka that Connect writes to. */
  log: EventLog;
  /** What the options select today. */
  tables: () => Promise<readonly CapturedTable[]>;
  partitionsOf: (topic: string) => number;
  /** How the worker reaches Kafka, to read what is asked of the connector. */
  kafka: KafkaAccess;
  /** Go on at the confirmed position of a slot that somebody else has read from. */
  adoptSlot: boolean;
  clock: Clock;
  /** Numbers in [0, 1), for the back-off's jitter. */
  random: () => number;
}>;

/**
 * PostgreSQL's changes, captured by Debezium on Kafka Connect, which this one registers and watches.
 *
 * The connector on Connect is a service of its own: it goes on when `run` ends, and a pause is kept
 * there until `resume`. While Connect is away, the state is `waiting`, and `run` goes on.
 */
export class DebeziumConnector implements Connector {
  readonly name: string;
  readonly #parts: DebeziumParts;
  readonly #rest: ConnectRest;
  readonly #hide: (text: string) => string;
  readonly #failures: TaskFailures;
  readonly #progress: TopicProgress;
  readonly #copies: CopyWatch;
  readonly #topics: Readonly<{ signals: string; notifications: string }>;
  #tables: readonly CapturedTable[] = [];
  #declaredMs = -Infinity;
  #state: ConnectorState = 'stopped';
  #problem: string | undefined;
  #refusal: string | undefined;
  #slot: Slot | undefined;
  /** What operators asked for and Connect was not told yet; the last one counts. */
  #wish: 'stop' | 'resume' | 'restart' | undefined;
  #isPauseWished = false;
  /** Until it is run again, nothing registers it anew. */
  #isRemoved = false;
  /** Ends the pause between two looks. */
  #interrupt = new AbortController();

  constructor(parts: DebeziumParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.#hide = hiderOf(parts.options);
    this.#rest = new ConnectRest(parts.url, this.#hide);
    this.#failures = new TaskFailures(parts.random);
    this.#progress = new TopicProgress(parts.log, parts.partitionsOf);
    this.#copies = new CopyWatch((table) => this.#estimateOf(table));
    this.#topics = {
      signals: `millrace.signals.${parts.name}`,
      notifications: `millrace.notifications.${parts.name}`,
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#state = 'starting';
    this.#isRemoved = false;
    try {
      await this.#declareTopics();
      await this.#lookAtTopics();
      await this.#register(signal);
      await runTogether(signal, [(stop) => this.#watch(stop), (stop) => this.#followCopies(stop)]);
      this.#state = 'stopped';
    } catch (error) {
      if (signal.aborted) {
        this.#state = 'stopped';
        return;
      }
      this.#state = remedyFor(error).retry === 'auto' ? 'waiting' : 'failed';
      this.#problem = textOf(error);
      throw error;
    }
  }

  pause(): void {
    this.#isPauseWished = true;
    this.#ask('stop');
  }

  resume(): void {
    // After a pause that Connect was not told of, its tasks are to be made anew.
    this.#ask(this.#wish === 'stop' ? 'restart' : 'resume');
    this.#isPauseWished = false;
  }

  async copy(topics: readonly string[]): Promise<void> {
    try {
      await this.#signalCopy(topics);
      this.#refusal = undefined;
    } catch (error) {
      this.#refusal = textOf(error);
      throw error;
    }
  }

  /** Takes the connector from Connect, with what is stored of it there; its slot and topics stay. */
  async remove(signal: AbortSignal): Promise<void> {
    this.#isRemoved = true;
    if ((await this.#rest.config(this.name, signal)) === undefined) return;
    await this.#stop(signal);
    await this.#rest.deleteOffsets(this.name, signal);
    await this.#rest.delete(this.name, signal);
  }

  status(): ConnectorStatus {
    const { slot, publication, clock } = this.#parts;
    const copy = this.#copies.tables();
    const problem = this.#problem ?? this.#refusal ?? this.#copies.problem;
    const { confirmedFlush, lagBytes } = this.#slot ?? {};
    // Debezium tells of a copied table before its records are counted in the topics.
    const copied = copy.reduce((sum, { rows }) => sum + rows, 0);
    return {
      component: 'connector',
      atMs: clock.nowMs(),
      name: this.name,
      state: this.#state,
      slot,
      publication,
      changes: Math.max(this.#progress.changes, copied),
      ...(confirmedFlush !== undefined && { confirmedLsn: formatLsn(confirmedFlush) }),
      ...(lagBytes !== undefined && { lagBytes }),
      ...(this.#progress.lagMs !== undefined && { lagMs: this.#progress.lagMs }),
      ...(copy.length > 0 && { copy }),
      ...(problem !== undefined && { problem }),
    };
  }

  #ask(wish: 'stop' | 'resume' | 'restart'): void {
    this.#wish = wish;
    this.#interrupt.abort();
  }

  // Registration

  async #register(signal: AbortSignal): Promise<void> {
    const { options, kafka, source } = this.#parts;
    const plugins = await this.#rest.plugins(signal);
    if (!plugins.some((plugin) => plugin.class === PLUGIN))
      throw new MillraceError('connect_plugin_missing', {
        url: this.#parts.url,
        expected: PLUGIN,
        found: plugins.map((plugin) => plugin.class).join(', ') || 'no connector',
      });
    // What is wrong with the source itself is told from here, not as a wrong option.
    const server = await source.identify();
    const wanted = await completeOptions(options, this.name, this.#topics, kafka);
    refuseInvalid(wanted, await this.#rest.validate(PLUGIN, wanted, signal), this.#hide);
    const found = await this.#rest.config(this.name, signal);
    if (found === undefined) await this.#rest.create(this.name, wanted, signal);
    try {
      const isToStart = await this.#place(server, found !== undefined, signal);
      if (found !== undefined && !isSame(found, wanted))
        await this.#rest.configure(this.name, wanted, signal);
      if (isToStart && !this.#isPauseWished) await this.#rest.resume(this.name, signal);
    } catch (error) {
      // One that stays is stopped, and counts as one that never ran.
      if (found === undefined) await this.#rest.delete(this.name, signal).catch(() => undefined);
      throw error;
    }
  }

  /** Sees to it that Debezium begins where nothing is lost; true where it is to be started then. */
  async #place(server: SourceIdentity, isKnown: boolean, signal: AbortSignal): Promise<boolean> {
    const { source, slot: slotName, publication, topicPrefix, adoptSlot } = this.#parts;
    const stored = await this.#position(signal);
    const hasRun = stored !== undefined || (isKnown && !(await this.#isStopped(signal)));
    const beginning = decideBeginning({
      stored,
      slot: await source.slot(slotName),
      server,
      slotName,
      hasRun,
      adoptSlot,
    });
    // Made anew, it would publish from now on, and what changed since the slot's position would be left out.
    if (beginning.how !== 'afresh' && !(await source.publicationExists(publication)))
      throw new MillraceError('publication_missing', { publication });
    if (beginning.how === 'adopt') {
      await this.#stop(signal);
      await this.#rest.setOffsets(this.name, [offsetAt(beginning.from, topicPrefix)], signal);
    }
    this.#copies.isFirst = stored?.isCopying ?? (beginning.how === 'afresh' && this.#copiesFirst());
    return !isKnown || !hasRun || beginning.how === 'adopt';
  }

  async #isStopped(signal: AbortSignal): Promise<boolean> {
    return (await this.#rest.status(this.name, signal))?.connector.state === 'STOPPED';
  }

  #copiesFirst(): boolean {
    return !['no_data', 'never'].includes(this.#parts.options['snapshot.mode'] ?? 'initial');
  }

  async #position(signal: AbortSignal) {
    return positionIn(await this.#rest.offsets(this.name, signal), this.#parts.topicPrefix);
  }

  async #stop(signal: AbortSignal): Promise<void> {
    const { clock, url } = this.#parts;
    await this.#rest.stop(this.name, signal);
    const deadlineMs = clock.nowMs() + STATE_PATIENCE_MS;
    for (;;) {
      const status = await this.#rest.status(this.name, signal);
      if (status?.connector.state === 'STOPPED' && status.tasks.length === 0) return;
      if (clock.nowMs() >= deadlineMs)
        throw new MillraceError('connect_unreachable', { url, said: 'it does not stop its tasks' });
      await clock.sleep(STATE_LOOK_MS, signal);
      signal.throwIfAborted();
    }
  }

  /** Creates the topics that are missing: new tables come while the connector runs. */
  async #declareTopics(): Promise<void> {
    const { options, topicPrefix, partitionsOf, tables, log, clock } = this.#parts;
    const known = new Set(this.#tables.map(({ topic }) => topic));
    this.#tables = await tables();
    this.#declaredMs = clock.nowMs();
    const heartbeats = options['heartbeat.topics.prefix'] ?? '__debezium-heartbeat';
    const own = [
      `${heartbeats}.${topicPrefix}`,
      `${topicPrefix}.message`,
      ...(options['provide.transaction.metadata'] === 'true' ? [`${topicPrefix}.transaction`] : []),
      ...Object.values(this.#topics),
    ];
    const declarations: TopicDeclaration[] = [
      ...(known.size === 0 ? own : []).map(
        (name) => ({ name, partitions: 1, cleanup: 'delete' }) as const,
      ),
      ...this.#tables
        .filter(({ topic }) => !known.has(topic))
        .map(
          ({ topic: name }) =>
            ({ name, partitions: partitionsOf(name), cleanup: 'delete' }) as const,
        ),
    ];
    refuseCollisions(this.#tables);
    if (declarations.length > 0) await log.createTopics(declarations);
  }

  // Watching

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#interrupt = new AbortController();
      try {
        await this.#look(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (remedyFor(error).retry !== 'auto') throw error;
        // Debezium goes on meanwhile, if Connect does.
        this.#state = 'waiting';
        this.#problem = textOf(error);
      }
      const either = AbortSignal.any([signal, this.#interrupt.signal]);
      if (this.#wish === undefined) await this.#parts.clock.sleep(LOOK_EVERY_MS, either);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { source, slot, clock } = this.#parts;
    if (this.#isRemoved) return;
    await this.#obey(signal);
    const status = await this.#rest.status(this.name, signal);
    if (status === undefined) {
      // Removed by somebody, or the worker has not read its topics to their end yet.
      const isGone = (await this.#rest.config(this.name, signal)) === undefined;
      if (isGone && !this.#isRemoved) await this.#register(signal);
      return;
    }
    await this.#judge(status, signal);
    this.#slot = await source.slot(slot);
    await this.#lookAtTopics();
    if (clock.nowMs() - this.#declaredMs >= DECLARE_EVERY_MS) await this.#declareTopics();
  }

  #lookAtTopics(): Promise<void> {
    return this.#progress.look(this.#tables.map(({ topic }) => topic));
  }

  async #obey(signal: AbortSignal): Promise<void> {
    const wish = this.#wish;
    if (wish === undefined) return;
    if (wish === 'stop') await this.#rest.stop(this.name, signal);
    if (wish === 'resume' || wish === 'restart') await this.#rest.resume(this.name, signal);
    if (wish === 'restart') await this.#rest.restart(this.name, { onlyFailed: false }, signal);
    // Another may have come meanwhile.
    if (this.#wish === wish) this.#wish = undefined;
  }

  async #judge(status: ConnectStatus, signal: AbortSignal): Promise<void> {
    const failure = failureIn(status);
    const said = failure === undefined ? undefined : this.#hide(failure);
    if (said !== undefined) {
      this.#problem = said;
      this.#state = 'waiting';
      if (isHopeless(said)) await this.#refuseLoss(said, signal);
    }
    if (this.#failures.isDue(said !== undefined, this.#parts.clock.nowMs()))
      await this.#rest.restart(this.name, { onlyFailed: true }, signal);
    if (said !== undefined) return;
    this.#state = await this.#stateOf(status, signal);
    if (this.#state !== 'starting') this.#problem = undefined;
  }

  /** Debezium says only that it cannot go on; what is gone shows by slot and position. */
  async #refuseLoss(said: string, signal: AbortSignal): Promise<void> {
    const { source, slot: slotName } = this.#parts;
    decideBeginning({
      stored: await this.#position(signal),
      slot: await source.slot(slotName),
      server: await source.identify(),
      slotName,
      hasRun: true,
      adoptSlot: false,
    });
    throw new MillraceError('slot_lost', { slot: slotName, said });
  }

  async #stateOf(
    { connector, tasks }: ConnectStatus,
    signal: AbortSignal,
  ): Promise<ConnectorState> {
    if (connector.state === 'STOPPED' || connector.state === 'PAUSED') return 'paused';
    const isRunning = connector.state === 'RUNNING' && tasks.length > 0;
    if (!isRunning || tasks.some(({ state }) => state !== 'RUNNING')) return 'starting';
    // The notification of its end may have come before we listened.
    if (this.#copies.isFirst) {
      const position = await this.#position(signal);
      if (position !== undefined && !position.isCopying) this.#copies.isFirst = false;
    }
    return this.#copies.isFirst ? 'copying' : 'streaming';
  }

  // Copies

  async #followCopies(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    const at = { topic: this.#topics.notifications, partition: 0 };
    const { end } = await log.offsets(at);
    for await (const { records } of log.read({ ...at, offset: end }, signal))
      for (const { value } of records) if (value !== null) this.#copies.take(value);
  }

  async #signalCopy(topics: readonly string[]): Promise<void> {
    const { log, topicPrefix, clock } = this.#parts;
    const tables = topics.map((topic) => this.#tables.find((table) => table.topic === topic));
    const unknown = topics.filter((_, at) => tables[at] === undefined);
    if (unknown.length > 0)
      throw new MillraceError('topic_not_captured', {
        connector: this.name,
        topics: unknown.join(', '),
      });
    const names = tables
      .map((table) => must(table, 'all are known'))
      .map(({ schema, name }) => `${schema}.${name}`);
    // They are regular expressions over the names of tables.
    const collections = names.map((name) =>
      name.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`),
    );
    const data = { type: 'incremental', 'data-collections': collections };
    const value = JSON.stringify({ id: randomUUID(), type: 'execute-snapshot', data });
    const record = {
      timestampMs: clock.nowMs(),
      key: Buffer.from(topicPrefix),
      value: Buffer.from(value),
      headers: [],
    };
    const producer = await log.openProducer(`signals/${this.name}`);
    try {
      await producer.append(blocksOf([{ topic: this.#topics.signals, partition: 0, record }]));
    } finally {
      await producer.close();
    }
    this.#copies.ordered(names);
  }

  #estimateOf(table: string): number {
    const found = this.#tables.find(({ schema, name }) => `${schema}.${name}` === table);
    return found?.estimatedRows ?? -1;
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

function isSame(found: Options, wanted: Options): boolean {
  const names = new Set([...Object.keys(found), ...Object.keys(wanted)]);
  return [...names].every((name) => found[name] === wanted[name]);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
