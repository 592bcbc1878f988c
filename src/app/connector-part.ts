import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import type { ConnectorConfig } from '../capture/connector-config.ts';
import { NativeConnector } from '../capture/native-connector.ts';
import type { Command } from '../domain/command.ts';
import { remedyFor } from '../domain/errors.ts';
import type { ConnectorState, ConnectorStatus } from '../domain/status.ts';
import type { EventLog } from '../ports/event-log.ts';
import { partitionsOf, type Part } from './compose.ts';
import { failureOf } from './failure.ts';
import { CAPTURE_SCHEMAS, COMMANDS } from './topics.ts';
import { VERSION } from './version.ts';

const LOOK_EVERY_MS = 50;

export type ConnectorPartOptions = Readonly<{
  log: EventLog;
  config: ConnectorConfig;
  connection: ConnectionFacts;
  partitions: Readonly<Record<string, number>>;
  adoptSlot: boolean;
  onChange: () => void;
}>;

/** The native connector with its source, and what operators ask of it. */
export class ConnectorPart implements Part, AsyncDisposable {
  readonly name = 'connector';
  /** Obeys pauses and resumptions that are asked for while it runs. */
  readonly commands: Part = {
    name: 'commands to the connector',
    run: (signal) => this.#obey(signal),
  };

  readonly #options: ConnectorPartOptions;
  #source: PostgresSource | undefined;
  #connector: NativeConnector | undefined;
  readonly #made = Promise.withResolvers<NativeConnector>();
  #isPaused = false;
  #failure: unknown;
  #seen: ConnectorState | undefined;

  constructor(options: ConnectorPartOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const watching = setInterval(this.#watch, LOOK_EVERY_MS);
    try {
      await (await this.#ready()).run(signal);
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      clearInterval(watching);
      this.#options.onChange();
    }
  }

  status(): ConnectorStatus {
    if (this.#connector !== undefined) return this.#connector.status();
    const { name, slot, publication } = this.#options.config;
    const base = { component: 'connector', atMs: Date.now(), name, slot, publication } as const;
    if (this.#failure === undefined) return { ...base, state: 'starting', changes: 0 };
    const state = remedyFor(this.#failure).retry === 'auto' ? 'waiting' : 'failed';
    return { ...base, state, changes: 0, problem: failureOf(this.#failure).message };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source?.[Symbol.asyncDispose]();
  }

  /** Others wait for the state: it is told when it changes, not at the next second. */
  readonly #watch = (): void => {
    const { state } = this.status();
    if (state === this.#seen) return;
    this.#seen = state;
    this.#options.onChange();
  };

  /** Kept from run to run: it makes its connections anew, and its counts go on. */
  async #ready(): Promise<NativeConnector> {
    const { log, config, connection, partitions, adoptSlot } = this.#options;
    this.#source ??= await PostgresSource.open(connection);
    if (this.#connector === undefined) {
      this.#connector = new NativeConnector({
        source: this.#source,
        log,
        config,
        partitionsOf: partitionsOf({ partitions }),
        schemasTopic: CAPTURE_SCHEMAS,
        version: VERSION,
        adoptSlot,
        clock: Date.now,
      });
      if (this.#isPaused) this.#connector.pause();
      this.#made.resolve(this.#connector);
    }
    return this.#connector;
  }

  async #obey(signal: AbortSignal): Promise<void> {
    const { log, config, onChange } = this.#options;
    const topic = { topic: COMMANDS, partition: 0 };
    const { end } = await log.offsets(topic);
    for await (const { records } of log.read({ ...topic, offset: end }, signal)) {
      for (const { value } of records) {
        if (value === null) continue;
        const command = JSON.parse(Buffer.from(value).toString('utf8')) as Command;
        if (!('connector' in command) || command.connector !== config.name) continue;
        this.#obeyOne(command);
        onChange();
      }
    }
  }

  #obeyOne(command: Extract<Command, { connector: string }>): void {
    switch (command.do) {
      case 'copy':
        return void this.#copy(command.topics);
      case 'restart':
        // Its session ends and another begins, with connections of its own.
        if (this.#isPaused) return;
        this.#connector?.pause();
        return this.#connector?.resume();
      case 'pause':
      case 'resume':
        this.#isPaused = command.do === 'pause';
        if (this.#isPaused) this.#connector?.pause();
        else this.#connector?.resume();
    }
  }

  async #copy(topics: readonly string[]): Promise<void> {
    const connector = await this.#made.promise;
    await connector.copy(topics).catch(() => undefined); // why not shows in the status
    this.#options.onChange();
  }
}
