import { remedyFor } from '../domain/errors.ts';
import { systemClock } from '../lib/clock.ts';
import type { ChangeSource } from '../ports/change-source.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { LogAppender } from './log-appender.ts';
import type { RecordBatch } from './record-batch.ts';

/** Debezium's `heartbeat.*` options. */
export type HeartbeatConfig = Readonly<{
  everyMs: number;
  topic: string;
  /** SQL that the source runs at each heartbeat. */
  action: string | undefined;
}>;

/**
 * Writes a record now and then whatever happens on the source, as Debezium does. It stands in the
 * same append as the position, so whoever reads it knows that all before it is in the log.
 *
 * An action that the server refuses is told, and tried again at the next heartbeat.
 * https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-property-heartbeat-interval-ms
 */
export class Heartbeat {
  readonly #config: HeartbeatConfig;
  readonly #source: ChangeSource;
  readonly #log: EventLog;
  readonly #batch: RecordBatch;
  readonly #appender: LogAppender;
  readonly #key: Buffer;
  readonly #clock: () => number;
  readonly #onProblem: (problem: string | undefined) => void;

  constructor(parts: {
    config: HeartbeatConfig;
    source: ChangeSource;
    log: EventLog;
    batch: RecordBatch;
    appender: LogAppender;
    topicPrefix: string;
    clock: () => number;
    /** Why the last action failed; undefined when it did not. */
    onProblem: (problem: string | undefined) => void;
  }) {
    this.#config = parts.config;
    this.#source = parts.source;
    this.#log = parts.log;
    this.#batch = parts.batch;
    this.#appender = parts.appender;
    this.#key = Buffer.from(JSON.stringify({ serverName: parts.topicPrefix }));
    this.#clock = parts.clock;
    this.#onProblem = parts.onProblem;
  }

  /** Ends when `signal` aborts; throws when the source or the log is away. */
  async run(signal: AbortSignal): Promise<void> {
    const { everyMs, topic } = this.#config;
    await this.#log.createTopics([{ name: topic, partitions: 1, cleanup: 'delete' }]);
    for (;;) {
      await systemClock.sleep(everyMs, signal);
      if (signal.aborted) return;
      await this.#act(signal);
      if (signal.aborted) return;
      this.#write(topic);
      await this.#appender.room();
    }
  }

  async #act(signal: AbortSignal): Promise<void> {
    const { action } = this.#config;
    if (action === undefined) return;
    try {
      await this.#source.execute(action, signal);
      this.#onProblem(undefined);
    } catch (error) {
      if (signal.aborted) return;
      if (remedyFor(error).retry === 'auto') throw error;
      const said = error instanceof Error ? error.message : String(error);
      this.#onProblem(`heartbeat.action.query failed: ${said}`);
    }
  }

  #write(topic: string): void {
    const nowMs = this.#clock();
    const [writer] = this.#batch.writers(topic, 1);
    writer?.add({
      timestampMs: nowMs,
      key: this.#key,
      value: Buffer.from(JSON.stringify({ ts_ms: nowMs })),
      headers: [],
    });
    this.#appender.kick();
  }
}
