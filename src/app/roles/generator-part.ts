import { PostgresClient } from '../../adapters/postgres/client.ts';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import type { GeneratorStatus } from '../../domain/status.ts';
import type { Part } from '../compose.ts';
import type { GeneratorOptions, Pipeline } from '../pipeline.ts';
import type { StatusBoard } from '../status/status-board.ts';

/** The pipeline's generator of demonstration rows, on a connection of its own. */
export class GeneratorPart implements Part {
  readonly name = 'generator';
  readonly #generate: NonNullable<Pipeline['generate']>;
  readonly #connection: ConnectionFacts;
  readonly #options: Omit<GeneratorOptions, 'onBatch'>;
  readonly #onBatch: (rows: number) => void;
  #state: GeneratorStatus['state'] = 'running';
  #batches = 0;
  #rows = 0;
  #problem: string | undefined;

  constructor(
    generate: NonNullable<Pipeline['generate']>,
    connection: ConnectionFacts,
    options: Omit<GeneratorOptions, 'onBatch'>,
    onBatch: (rows: number) => void = () => {},
  ) {
    this.#generate = generate;
    this.#connection = connection;
    this.#options = options;
    this.#onBatch = onBatch;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#state = 'running';
    try {
      await using client = await PostgresClient.connect(this.#connection);
      const { query } = client;
      const transaction: typeof client.transaction = (work) => client.transaction(work);
      await this.#generate(
        { query, transaction },
        { ...this.#options, onBatch: this.#count },
        signal,
      );
      this.#state = 'stopped';
    } catch (error) {
      this.#state = 'failed';
      this.#problem = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  status(): GeneratorStatus {
    return {
      component: 'generator',
      atMs: Date.now(),
      state: this.#state,
      batches: this.#batches,
      rows: this.#rows,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  readonly #count = (rows: number): void => {
    this.#problem = undefined;
    this.#batches += 1;
    this.#rows += rows;
    this.#onBatch(rows);
  };
}

/** Rows of a demonstration are to be seen as changes, so they come after the first copy. */
export function afterFirstCopy(generator: GeneratorPart, statuses: StatusBoard): Part {
  return {
    name: generator.name,
    async run(signal) {
      try {
        await copied(statuses, signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      await generator.run(signal);
    },
  };
}

/** Resolves once the connector streams: all tables are in the log. Rejects when `signal` aborts. */
export async function copied(statuses: StatusBoard, signal: AbortSignal): Promise<void> {
  await statuses.until(() => statuses.connector?.state === 'streaming' || undefined, signal);
}
