import { formatLsn, type Lsn } from '../domain/lsn.ts';
import type { CopyTask, Position } from '../domain/position.ts';
import type { Header } from '../domain/record-block.ts';
import { messageTopic } from '../domain/logical-message.ts';
import { TransactionSnapshot } from '../domain/transaction-snapshot.ts';
import { runTogether } from '../lib/run-together.ts';
import type { ChangeSource, SourceIdentity, Table } from '../ports/change-source.ts';
import type { EventLog, Producer } from '../ports/event-log.ts';
import { AckTracker } from './ack-tracker.ts';
import { ChangeEncoder } from './change-encoder.ts';
import type { ConnectorConfig } from './connector-config.ts';
import type { CopyOrders } from './copy-orders.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { CopyReport } from './copy-report.ts';
import { FirstCopy } from './first-copy.ts';
import { Heartbeat } from './heartbeat.ts';
import { IncrementalCopy } from './incremental-copy.ts';
import { LogAppender } from './log-appender.ts';
import { MessageEncoder } from './message-encoder.ts';
import { PassedTime } from './passed-time.ts';
import { ProgressProbe } from './progress-probe.ts';
import { RecordBatch } from './record-batch.ts';
import { RelationRegistry } from './relation-registry.ts';
import type { Start } from './start.ts';
import { StreamFollower } from './stream-follower.ts';

/** Two batches of about this size are in memory at once: one filled, one being appended. */
const MAX_BATCH_BYTES = 4 << 20;

export type SessionParts = Readonly<{
  source: ChangeSource;
  log: EventLog;
  producer: Producer;
  server: SourceIdentity;
  config: ConnectorConfig;
  headers: readonly Header[];
  version: string;
  schemasTopic: string;
  partitionsOf: (topic: string) => number;
  clock: () => number;
  report: CopyReport;
  /** The tables to copy, as of now. */
  tables: () => Promise<readonly Table[]>;
  orders: CopyOrders;
  /** The captured tables whose records stand in these topics. */
  tablesOf: (topics: readonly string[]) => Promise<readonly Table[]>;
  onState: (state: 'copying' | 'streaming') => void;
  /** Why the last heartbeat's action failed; undefined when it did not. */
  onHeartbeat: (problem: string | undefined) => void;
}>;

/** One uninterrupted run of capture: what is encoded, where it stands, what is confirmed. */
export class CaptureSession {
  readonly #parts: SessionParts;
  readonly #batch: RecordBatch;
  readonly #encoder: ChangeEncoder;
  readonly #messages: MessageEncoder;
  readonly #relations: RelationRegistry;
  readonly #appender: LogAppender;
  readonly #failed = new AbortController();
  readonly #progress: CopyProgress;
  /** Without the place in the stream, which the follower knows. */
  #position: Position;
  #acks: AckTracker | undefined;
  #follower: StreamFollower | undefined;
  readonly #time = new PassedTime();
  /** As the log has it: no table is left to copy. */
  #hasCopied = false;
  #lagMs: number | undefined;
  /** Tables that are in the position, so that their copy may begin once that is durable. */
  #ordered: readonly CopyTask[] = [];

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { config, server, source, log, schemasTopic, partitionsOf } = parts;
    const batch = new RecordBatch(parts.headers);
    const names = {
      prefix: config.topicPrefix,
      database: server.database,
      version: parts.version,
      streamed: config.streamedMark,
    };
    const { tombstones, skippedOperations: skipped } = config;
    const encoder = new ChangeEncoder({ names, tombstones, skipped, partitionsOf }, batch);
    encoder.clock.set(parts.clock());
    this.#batch = batch;
    this.#encoder = encoder;
    const topic = messageTopic(config.topicPrefix);
    this.#messages = new MessageEncoder({
      names,
      topic,
      partitions: partitionsOf(topic),
      filter: config.messages,
      clock: encoder.clock,
      batch,
      log,
    });
    this.#relations = new RelationRegistry({
      source,
      log,
      config,
      encoder,
      batch,
      schemasTopic,
      partitionsOf,
    });
    this.#position = {
      systemId: server.systemId,
      timeline: server.timeline,
      slot: config.slot,
      end: undefined,
    };
    this.#appender = new LogAppender({
      producer: parts.producer,
      batch,
      maxBytes: MAX_BATCH_BYTES,
      positionNow: () => ({ ...this.#position, ...this.#follower?.place() }),
      onDurable: (position) => this.#durable(position),
      onFailure: (error) => this.#failed.abort(error),
    });
    this.#progress = {
      left: (tasks) => {
        this.#position = { ...this.#position, copy: [...tasks, ...this.#ordered] };
        parts.report.left(tasks);
      },
      rows: (table, added) => parts.report.rows(table, added),
    };
  }

  get changes(): number {
    return this.#encoder.changes;
  }

  /** Age that the last change had when it became durable. */
  get lagMs(): number | undefined {
    return this.#lagMs;
  }

  get confirmedLsn(): string | undefined {
    return this.#acks && formatLsn(this.#acks.confirmed);
  }

  get lagBytes(): number | undefined {
    return this.#acks && this.#follower?.lagBytes(this.#acks.confirmed);
  }

  /** Commit time up to which every change is in the log; undefined during a copy. */
  get passedMs(): number | undefined {
    return this.#acks && this.#isCopied() ? this.#time.passedMs(this.#acks.confirmed) : undefined;
  }

  /** Ends when `outer` aborts; throws what failed. Nothing is confirmed that is not durable. */
  async run(start: Start, outer: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([outer, this.#failed.signal]);
    try {
      await this.#relations.load(signal);
      await this.#begin(start, signal);
      await this.#follow(start, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await this.#appender.stop();
    }
    if (this.#failed.signal.aborted) throw this.#failed.signal.reason;
  }

  async #begin(start: Start, signal: AbortSignal): Promise<void> {
    if (start.how === 'create') return this.#createAndCopy(signal);
    if (start.how === 'resume') {
      this.#position = start.position;
      return undefined;
    }
    this.#position = { ...this.#position, end: start.from };
    if (start.how === 'copy-while-streaming') this.#progress.left(await this.#copyTasks());
    return undefined;
  }

  async #createAndCopy(signal: AbortSignal): Promise<void> {
    const { source, config, clock, report, tables, onState } = this.#parts;
    // The intent comes first: after a crash, a slot of this name is known to be ours.
    await this.#appender.drain();
    await using slot = await source.createSlot(config.slot, { signal });
    const { consistentPoint, snapshot } = slot;
    this.#position = { ...this.#position, end: consistentPoint };
    const tasks = await this.#copyTasks();
    report.begin(tasks.length > 0 ? await tables() : []);
    this.#progress.left(tasks);
    await this.#appender.drain();
    if (tasks.length === 0) return;
    onState('copying');
    const copy = new FirstCopy({
      encoder: this.#encoder,
      relations: this.#relations,
      appender: this.#appender,
      clock,
      lsn: Number(consistentPoint),
      txId: new TransactionSnapshot(snapshot.visible).xmax,
      progress: this.#progress,
    });
    await copy.run(snapshot, tasks, signal);
    await this.#appender.drain();
  }

  async #follow(start: Start, signal: AbortSignal): Promise<void> {
    const { source, config, clock, onState, orders } = this.#parts;
    const inside = start.how === 'resume' ? start.position.transaction : undefined;
    const from = this.#position.end ?? (0n as Lsn);
    this.#acks = new AckTracker(from);
    const copy = await this.#copyBeside();
    this.#hasCopied = copy.isDone;
    onState(copy.isDone ? 'streaming' : 'copying');
    const follower = new StreamFollower({
      source,
      encoder: this.#encoder,
      messages: this.#messages,
      relations: this.#relations,
      appender: this.#appender,
      copy,
      clock,
      slot: config.slot,
      publication: config.publication,
      from,
      inside,
      onCopied: () => onState('streaming'),
    });
    this.#follower = follower;
    await runTogether(signal, [
      (stop) => follower.run(stop, (error) => this.#failed.abort(error)),
      (stop) => orders.obey((topics) => this.#order(topics, copy, follower), stop),
      (stop) => this.#beat(stop),
      (stop) =>
        new ProgressProbe({ source, time: this.#time, isDue: () => this.#isCopied() }).run(stop),
    ]);
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { source, log, config, clock, onHeartbeat } = this.#parts;
    const { heartbeat, topicPrefix } = config;
    if (heartbeat === undefined) return;
    await new Heartbeat({
      config: heartbeat,
      source,
      log,
      batch: this.#batch,
      appender: this.#appender,
      topicPrefix,
      clock,
      onProblem: onHeartbeat,
    }).run(signal);
  }

  /** What copies beside the stream: at first what an earlier session has left. */
  async #copyBeside(): Promise<IncrementalCopy> {
    const { source, config, clock, report } = this.#parts;
    const copy = new IncrementalCopy({
      source,
      encoder: this.#encoder,
      relations: this.#relations,
      appender: this.#appender,
      chunkRows: config.chunkRows,
      clock,
      progress: this.#progress,
    });
    const left = this.#position.copy ?? [];
    if (left.length > 0) report.resume(left, await source.tables());
    copy.add(left, []);
    return copy;
  }

  /** Adds tables to the copy beside the stream, once that is durable: those that are not in it. */
  async #order(
    topics: readonly string[],
    copy: IncrementalCopy,
    follower: StreamFollower,
  ): Promise<void> {
    const { tablesOf, report } = this.#parts;
    const found = await tablesOf(topics);
    const left = this.#position.copy ?? [];
    const tables = found.filter((table) => !left.some(({ oid }) => oid === table.oid));
    if (tables.length === 0) return;
    this.#ordered = tables.map(({ oid, schema, name }) => ({ oid, schema, name }));
    this.#position = { ...this.#position, copy: [...left, ...this.#ordered] };
    await this.#appender.stored();
    report.add(tables);
    copy.add(this.#ordered, follower.recentTransactions());
    this.#ordered = [];
  }

  async #copyTasks(): Promise<readonly CopyTask[]> {
    if (this.#parts.config.snapshotMode !== 'initial') return [];
    return (await this.#parts.tables()).map(({ oid, schema, name }) => ({ oid, schema, name }));
  }

  #isCopied(): boolean {
    return this.#hasCopied && (this.#position.copy ?? []).length === 0;
  }

  #durable(position: Position): void {
    const committedMs = this.#follower?.lastCommitMs;
    if (committedMs !== undefined) this.#lagMs = Math.max(0, this.#parts.clock() - committedMs);
    this.#hasCopied = (position.copy ?? []).length === 0;
    if (position.end === undefined) return;
    const confirmable = this.#acks?.durable(position.end);
    if (confirmable !== undefined) this.#follower?.confirm(confirmable);
  }
}
