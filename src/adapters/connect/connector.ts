import { remedyFor } from '../../domain/errors.ts';
import { formatLsn } from '../../domain/lsn.ts';
import type { ConnectorState, ConnectorStatus } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import { runTogether } from '../../lib/run-together.ts';
import type { ChangeSource, Slot } from '../../ports/change-source.ts';
import type { Connector } from '../../ports/connector.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import { type CapturedTable, CapturedTopics } from './captured-topics.ts';
import { signalCopy } from './copy-signal.ts';
import { CopyWatch } from './copy-watch.ts';
import { hiderOf, type KafkaAccess, type Options, type OwnTopics } from './options.ts';
import { Registration } from './registration.ts';
import { ConnectRest, type ConnectStatus } from './rest.ts';
import { failureIn, isHopeless, TaskFailures } from './task-failures.ts';
import { TopicProgress } from './topic-progress.ts';

const LOOK_EVERY_MS = 1000;
const DECLARE_EVERY_MS = 3000;

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
  readonly #registration: Registration;
  readonly #topics: CapturedTopics;
  readonly #own: OwnTopics;
  readonly #progress: TopicProgress;
  readonly #copies: CopyWatch;
  readonly #failures: TaskFailures;
  readonly #hide: (text: string) => string;
  #state: ConnectorState = 'stopped';
  #problem: string | undefined;
  /** Why the last copy that was asked for is not made. */
  #refusal: string | undefined;
  #slot: Slot | undefined;
  /** Under way, or about to begin. */
  #isFirstCopy = false;
  #declaredMs = 0;
  /** What operators asked for and Connect was not told yet; the last one counts. */
  #wish: 'stop' | 'resume' | 'restart' | undefined;
  #isPauseWished = false;
  /** Until it is run again, nothing registers it anew. */
  #isRemoved = false;
  /** Ends the wait between two looks. */
  #interrupt = new AbortController();

  constructor(parts: DebeziumParts) {
    const { name, url, options, kafka, log, partitionsOf } = parts;
    this.#parts = parts;
    this.name = name;
    this.#hide = hiderOf(options, kafka);
    this.#rest = new ConnectRest(url, this.#hide);
    this.#own = {
      signals: `millrace.signals.${name}`,
      notifications: `millrace.notifications.${name}`,
    };
    const shared = { rest: this.#rest, own: this.#own, hide: this.#hide };
    this.#registration = new Registration({ ...parts, ...shared });
    this.#topics = new CapturedTopics({ ...parts, own: this.#own });
    this.#progress = new TopicProgress(log, partitionsOf);
    this.#copies = new CopyWatch((table) => this.#estimateOf(table));
    this.#failures = new TaskFailures(parts.random);
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#state = 'starting';
    this.#isRemoved = false;
    try {
      await this.#declareTopics();
      await this.#progress.look(this.#topics.names());
      const told = { topic: this.#own.notifications, partition: 0 };
      const { end } = await this.#parts.log.offsets(told);
      await this.#register(signal);
      await runTogether(signal, [
        (stop) => this.#watch(stop),
        (stop) => this.#followCopies({ ...told, offset: end }, stop),
      ]);
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
    const { log, topicPrefix, clock } = this.#parts;
    try {
      const tables = this.#topics.tablesOf(topics, this.name);
      const topic = this.#own.signals;
      const to = { connector: this.name, topic, topicPrefix, nowMs: clock.nowMs() };
      await signalCopy(log, tables, to);
      this.#copies.ordered(tables.map(nameOf));
      this.#refusal = undefined;
    } catch (error) {
      this.#refusal = textOf(error);
      throw error;
    }
  }

  /** Takes the connector from Connect, with what is stored of it there; its slot and topics stay. */
  async remove(signal: AbortSignal): Promise<void> {
    this.#isRemoved = true;
    await this.#registration.remove(signal);
  }

  status(): ConnectorStatus {
    const { slot, publication, clock } = this.#parts;
    const copy = this.#copies.tables();
    const problem = this.#problem ?? this.#refusal ?? this.#copies.problem;
    const { confirmedFlush, lagBytes } = this.#slot ?? {};
    const { changes, lagMs } = this.#progress;
    return {
      component: 'connector',
      atMs: clock.nowMs(),
      name: this.name,
      state: this.#state,
      slot,
      publication,
      changes,
      ...(confirmedFlush !== undefined && { confirmedLsn: formatLsn(confirmedFlush) }),
      ...(lagBytes !== undefined && { lagBytes }),
      ...(lagMs !== undefined && { lagMs }),
      ...(copy.length > 0 && { copy }),
      ...(problem !== undefined && { problem }),
    };
  }

  #ask(wish: 'stop' | 'resume' | 'restart'): void {
    this.#wish = wish;
    this.#interrupt.abort();
  }

  async #register(signal: AbortSignal): Promise<void> {
    const how = { isPaused: this.#isPauseWished };
    this.#isFirstCopy = await this.#registration.ensure(how, signal);
  }

  async #declareTopics(): Promise<void> {
    this.#declaredMs = this.#parts.clock.nowMs();
    await this.#topics.declare();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#interrupt = new AbortController();
      try {
        if (!this.#isRemoved) await this.#look(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (remedyFor(error).retry !== 'auto') throw error;
        // Debezium goes on meanwhile, if Connect does.
        this.#state = 'waiting';
        this.#problem = textOf(error);
      }
      const either = AbortSignal.any([signal, this.#interrupt.signal]);
      await this.#parts.clock.sleep(LOOK_EVERY_MS, either);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { source, slot, clock } = this.#parts;
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
    await this.#progress.look(this.#topics.names());
    if (clock.nowMs() - this.#declaredMs >= DECLARE_EVERY_MS) await this.#declareTopics();
  }

  async #obey(signal: AbortSignal): Promise<void> {
    const wish = this.#wish;
    if (wish === 'stop') await this.#rest.stop(this.name, signal);
    if (wish === 'resume' || wish === 'restart') await this.#rest.resume(this.name, signal);
    if (wish === 'restart') await this.#rest.restart(this.name, { onlyFailed: false }, signal);
    // Another may have come meanwhile.
    if (this.#wish === wish) this.#wish = undefined;
  }

  async #judge(status: ConnectStatus, signal: AbortSignal): Promise<void> {
    const failure = failureIn(status);
    if (failure !== undefined) {
      this.#problem = this.#hide(failure);
      this.#state = 'waiting';
      if (isHopeless(failure)) await this.#registration.refuseLoss(this.#problem, signal);
    }
    if (this.#failures.isDue(failure !== undefined, this.#parts.clock.nowMs()))
      await this.#rest.restart(this.name, { onlyFailed: true }, signal);
    if (failure !== undefined) return;
    this.#state = await this.#stateOf(status, signal);
    if (this.#state !== 'starting') this.#problem = undefined;
  }

  async #stateOf(
    { connector, tasks }: ConnectStatus,
    signal: AbortSignal,
  ): Promise<ConnectorState> {
    if (connector.state === 'STOPPED' || connector.state === 'PAUSED') return 'paused';
    const isRunning = connector.state === 'RUNNING' && tasks.length > 0;
    if (!isRunning || tasks.some(({ state }) => state !== 'RUNNING')) return 'starting';
    // A copy whose end Connect has not stored begins again after a crash.
    if (this.#isFirstCopy) {
      const position = await this.#registration.position(signal);
      this.#isFirstCopy = position?.isCopying !== false;
    }
    return this.#isFirstCopy ? 'copying' : 'streaming';
  }

  async #followCopies(
    from: TopicPartition & { offset: number },
    signal: AbortSignal,
  ): Promise<void> {
    for await (const { records } of this.#parts.log.read(from, signal))
      for (const { value } of records) if (value !== null) this.#copies.take(value);
  }

  #estimateOf(table: string): number {
    return this.#topics.tables.find((each) => nameOf(each) === table)?.estimatedRows ?? -1;
  }
}

function nameOf({ schema, name }: CapturedTable): string {
  return `${schema}.${name}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
