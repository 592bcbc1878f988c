import { randomUUID } from 'node:crypto';
import { MillraceError, remedyFor } from '../domain/errors.ts';
import { parsePosition } from '../domain/position.ts';
import type { Header } from '../domain/record-block.ts';
import type { ConnectorState, ConnectorStatus } from '../domain/status.ts';
import { untilAborted } from '../lib/until-aborted.ts';
import type { ChangeSource, Table } from '../ports/change-source.ts';
import type { Connector } from '../ports/connector.ts';
import type { EventLog } from '../ports/event-log.ts';
import { CaptureSession } from './capture-session.ts';
import type { ConnectorConfig } from './connector-config.ts';
import { CopyOrders } from './copy-orders.ts';
import { CopyReport } from './copy-report.ts';
import { topicName } from './relation-registry.ts';
import { decideStart, refuseUsed, type Start } from './start.ts';

export type NativeConnectorParts = Readonly<{
  source: ChangeSource;
  log: EventLog;
  config: ConnectorConfig;
  partitionsOf: (topic: string) => number;
  /** Compacted: what must be remembered of tables. */
  schemasTopic: string;
  /** Written into each event as `source.version`. */
  version: string;
  /** Start from the confirmed position of a slot that this log knows nothing of. */
  adoptSlot: boolean;
  clock: () => number;
}>;

/** The name under which this connector's producer, and with it its position, stands in the log. */
export function captureProducer(connector: string): string {
  return `capture/${connector}`;
}

/** PostgreSQL's changes, read over the replication protocol and encoded here, into the log. */
export class NativeConnector implements Connector {
  readonly name: string;
  readonly #parts: NativeConnectorParts;
  readonly #runId = randomUUID();
  readonly #report = new CopyReport();
  readonly #orders = new CopyOrders();
  #state: ConnectorState = 'stopped';
  #problem: string | undefined;
  /** Why the last copy that was asked for is not made. */
  #refusal: string | undefined;
  #heartbeatProblem: string | undefined;
  #session: CaptureSession | undefined;
  #changesBefore = 0;
  #isPaused = false;
  /** Where only some tables are published: those that were when the session began. */
  #published: ReadonlySet<number> | undefined;
  /** Ends the session, or the pause, that goes on now. */
  #interrupt = new AbortController();

  constructor(parts: NativeConnectorParts) {
    this.#parts = parts;
    this.name = parts.config.name;
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        this.#interrupt = new AbortController();
        const turn = AbortSignal.any([signal, this.#interrupt.signal]);
        if (this.#isPaused) await this.#rest(turn);
        else await this.#runSession(turn);
      }
      this.#state = 'stopped';
    } catch (error) {
      this.#state = remedyFor(error).retry === 'auto' ? 'waiting' : 'failed';
      this.#problem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#interrupt.abort();
  }

  resume(): void {
    this.#isPaused = false;
    this.#interrupt.abort();
  }

  async copy(topics: readonly string[]): Promise<void> {
    try {
      await this.#orders.add(topics);
      this.#refusal = undefined;
    } catch (error) {
      this.#refusal = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  status(): ConnectorStatus {
    const { config, clock } = this.#parts;
    const { confirmedLsn, lagBytes, lagMs, passedMs, changes = 0 } = this.#session ?? {};
    const copy = this.#report.tables();
    const problem = this.#problem ?? this.#heartbeatProblem ?? this.#refusal;
    return {
      component: 'connector',
      atMs: clock(),
      name: config.name,
      state: this.#state,
      slot: config.slot,
      publication: config.publication,
      changes: this.#changesBefore + changes,
      ...(confirmedLsn !== undefined && { confirmedLsn }),
      ...(lagBytes !== undefined && { lagBytes }),
      ...(lagMs !== undefined && { lagMs }),
      ...(passedMs !== undefined && { passedMs }),
      ...(copy.length > 0 && { copy }),
      ...(problem !== undefined && { problem }),
    };
  }

  async #rest(turn: AbortSignal): Promise<void> {
    this.#state = 'paused';
    await untilAborted(turn);
  }

  async #runSession(turn: AbortSignal): Promise<void> {
    const { source, log, config, adoptSlot } = this.#parts;
    this.#state = 'starting';
    const server = await source.identify();
    // Opening the producer ends whoever has it: that must not befall one that still reads.
    refuseUsed(await source.slot(config.slot), config.slot);
    const producer = await log.openProducer(captureProducer(config.name));
    try {
      const stored = producer.position === undefined ? undefined : parsePosition(producer.position);
      const slot = await source.slot(config.slot);
      const start = decideStart(stored, slot, server, config.slot, adoptSlot);
      await this.#publish(start);
      this.#session = new CaptureSession({
        ...this.#parts,
        producer,
        server,
        headers: config.contextHeaders ? contextHeaders(config.topicPrefix, this.#runId) : [],
        report: this.#report,
        tables: () => this.#copied(),
        orders: this.#orders,
        tablesOf: (topics) => this.#tablesOf(topics),
        onState: (state) => {
          this.#state = state;
          this.#problem = undefined;
        },
        onHeartbeat: (problem) => {
          this.#heartbeatProblem = problem;
        },
      });
      await this.#session.run(start, turn);
    } finally {
      this.#changesBefore += this.#session?.changes ?? 0;
      this.#session = undefined;
      await producer.close();
    }
  }

  async #publish(start: Start): Promise<void> {
    const { source, config } = this.#parts;
    const { publication, publicationMode } = config;
    // Made anew, it would publish from now on, and what changed since the slot's position would be left out.
    if (start.how !== 'create' && !(await source.publicationExists(publication)))
      throw new MillraceError('publication_missing', { publication });
    if (publicationMode === 'disabled') {
      if (await source.publicationExists(publication)) return;
      throw new MillraceError('source_not_ready', {
        expected: `publication ${publication}, as publication.autocreate.mode is disabled`,
        found: 'none of that name',
      });
    }
    const tables = publicationMode === 'all_tables' ? 'all' : await this.#tables();
    await source.ensurePublication(publication, tables);
    if (tables !== 'all') this.#published = new Set(tables.map(({ oid }) => oid));
  }

  /** Throws `topic_not_captured` where a topic is not that of a table whose changes come. */
  async #tablesOf(topics: readonly string[]): Promise<readonly Table[]> {
    const { name, topicPrefix } = this.#parts.config;
    const tables = (await this.#copied()).filter(
      ({ oid, kind }) => kind === 'partitioned' || (this.#published?.has(oid) ?? true),
    );
    const found = tables.filter((table) =>
      topics.includes(topicName(topicPrefix, table.schema, table.name)),
    );
    const known = found.map((table) => topicName(topicPrefix, table.schema, table.name));
    const unknown = topics.filter((topic) => !known.includes(topic));
    if (unknown.length === 0) return found;
    throw new MillraceError('topic_not_captured', { connector: name, topics: unknown.join(', ') });
  }

  /** Tables to copy: as in Debezium, the rows of a partitioned one also come under its own name. */
  async #copied(): Promise<readonly Table[]> {
    const { source, config } = this.#parts;
    return (await source.tables())
      .filter(({ schema, name }) => config.tables.matches(schema, name))
      .toSorted((a, b) => config.tables.compare(a, b));
  }

  /** Tables to capture: of partitioned ones the leaves, as their changes come under their names. */
  async #tables(): Promise<readonly Table[]> {
    const { config } = this.#parts;
    const tables = (await this.#copied()).filter(({ kind }) => kind === 'table');
    if (tables.length > 0 || config.publicationMode === 'all_tables') return tables;
    throw new MillraceError('source_not_ready', {
      expected: 'at least one table that table.include.list names',
      found: 'none',
    });
  }
}

/** Debezium's `extended.headers.enabled`. */
function contextHeaders(prefix: string, runId: string): readonly Header[] {
  return [
    ['__debezium.context.connectorLogicalName', prefix],
    ['__debezium.context.taskId', '0'],
    ['__debezium.context.connectorName', 'postgresql'],
    ['__debezium.context.runId', runId],
  ];
}
