import { join } from 'node:path';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { EmbeddedPostgres, type EmbeddedOptions } from '../../adapters/postgres/embedded.ts';
import { MillraceError, remedyFor } from '../../domain/errors.ts';
import type { Part } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { placesIn } from '../config/data-directory.ts';

/** The embedded PostgreSQL, started again at the same address whenever it ends though nobody told it to. */
export class EmbeddedServer implements Part, AsyncDisposable {
  readonly name = 'PostgreSQL';
  readonly connection: ConnectionFacts;
  readonly #options: EmbeddedOptions;
  #server: EmbeddedPostgres;
  #hasEnded = false;

  private constructor(options: EmbeddedOptions, server: EmbeddedPostgres) {
    this.#options = options;
    this.#server = server;
    this.connection = server.connection;
    process.on('exit', this.#killWithUs);
  }

  /** Returns when the server takes logins. */
  static async start(
    dataDir: string,
    { database, user }: Extract<Config['source'], { kind: 'embedded' }>,
    signal: AbortSignal,
  ): Promise<EmbeddedServer> {
    const { postgres, logs } = placesIn(dataDir);
    const options = { dataDir: postgres, logFile: join(logs, 'postgres.log'), database, user };
    return new EmbeddedServer(options, await EmbeddedPostgres.start(options, signal));
  }

  /** Watches the server until `signal` aborts; run again after a failure, it starts the server again. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      if (this.#hasEnded) {
        const { port } = this.connection;
        this.#server = await EmbeddedPostgres.start({ ...this.#options, port }, signal);
        this.#hasEnded = false;
      }
      const failure = await Promise.race([this.#server.ended, untilAborted(signal)]);
      if (signal.aborted) return;
      this.#hasEnded = true;
      throw failure ?? new Error('the server ended without a failure');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof MillraceError && remedyFor(error).retry === 'auto') throw error;
      // Whatever it was, as another program at our port: a server that has run is tried again.
      throw new MillraceError(
        'worker_died',
        { part: this.name, found: String(error).slice(0, 300) },
        error,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    process.off('exit', this.#killWithUs);
  }

  /** A process that is told twice ends at once, and must not leave a server behind. */
  readonly #killWithUs = (): void => {
    try {
      process.kill(this.#server.pid, 'SIGQUIT');
    } catch {
      // It has ended before us.
    }
  };
}

function untilAborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) =>
    signal.addEventListener('abort', () => resolve(undefined), { once: true }),
  );
}
