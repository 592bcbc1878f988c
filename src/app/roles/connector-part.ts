import type { Command } from '../../domain/command.ts';
import { remedyFor } from '../../domain/errors.ts';
import type { ConnectorState, ConnectorStatus } from '../../domain/status.ts';
import type { Connector } from '../../ports/connector.ts';
import type { Part } from '../compose.ts';
import { failureOf } from '../failure.ts';
import { type ConnectorPlace, openConnector, type OpenedConnector } from '../open-connector.ts';
import { COMMANDS } from '../topics.ts';

const LOOK_EVERY_MS = 50;

export type ConnectorPartOptions = ConnectorPlace & Readonly<{ onChange: () => void }>;

/** The connector, and what operators ask of it. */
export class ConnectorPart implements Part, AsyncDisposable {
  readonly name = 'connector';
  /** Obeys what is asked for while it runs. */
  readonly commands: Part = {
    name: 'commands to the connector',
    run: (signal) => this.#obey(signal),
  };

  readonly #options: ConnectorPartOptions;
  #opened: OpenedConnector | undefined;
  readonly #made = Promise.withResolvers<Connector>();
  #isPaused = false;
  #failure: unknown;
  #seen: ConnectorState | undefined;
  /** What was asked before this part first ran is not obeyed. */
  #nextCommand: number | undefined;

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
    if (this.#opened !== undefined) return this.#opened.connector.status();
    const { name, slot, publication } = this.#options.config;
    const base = { component: 'connector', atMs: Date.now(), name, slot, publication } as const;
    if (this.#failure === undefined) return { ...base, state: 'starting', changes: 0 };
    const state = remedyFor(this.#failure).retry === 'auto' ? 'waiting' : 'failed';
    return { ...base, state, changes: 0, problem: failureOf(this.#failure).message };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened?.[Symbol.asyncDispose]();
  }

  /** Others wait for the state: it is told when it changes, not at the next second. */
  readonly #watch = (): void => {
    const { state } = this.status();
    if (state === this.#seen) return;
    this.#seen = state;
    this.#options.onChange();
  };

  /** Kept from run to run: it makes its connections anew, and its counts go on. */
  async #ready(): Promise<Connector> {
    if (this.#opened === undefined) {
      this.#opened = await openConnector(this.#options);
      const { connector } = this.#opened;
      if (this.#isPaused) connector.pause();
      this.#made.resolve(connector);
    }
    return this.#opened.connector;
  }

  async #obey(signal: AbortSignal): Promise<void> {
    const { log, config, onChange } = this.#options;
    const topic = { topic: COMMANDS, partition: 0 };
    this.#nextCommand ??= (await log.offsets(topic)).end;
    const from = { ...topic, offset: this.#nextCommand };
    for await (const { records, next } of log.read(from, signal)) {
      this.#nextCommand = next;
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
    const connector = this.#opened?.connector;
    switch (command.do) {
      case 'copy':
        return void this.#copy(command.topics);
      case 'restart':
        // Its session ends and another begins, with connections of its own.
        if (this.#isPaused) return;
        connector?.pause();
        return connector?.resume();
      case 'pause':
      case 'resume':
        this.#isPaused = command.do === 'pause';
        if (this.#isPaused) connector?.pause();
        else connector?.resume();
    }
  }

  async #copy(topics: readonly string[]): Promise<void> {
    const connector = await this.#made.promise;
    await connector.copy(topics).catch(() => undefined); // why not shows in the status
    this.#options.onChange();
  }
}
