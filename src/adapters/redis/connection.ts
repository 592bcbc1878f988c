import { readFileSync } from 'node:fs';
import type { RedisArgument } from 'redis';
import { ClientOfflineError, createClient } from 'redis';
import { MillraceError } from '../../domain/errors.ts';
import { storeError } from './connection-error.ts';
import type { Script } from './script.ts';

/** How to reach a Redis server. */
export type RedisAddress = Readonly<{
  host: string;
  port: number;
  /** A user of Redis's ACL; without one it is `default`. */
  username?: string;
  password?: string;
  /** The number of the database; 0 unless given. */
  database?: number;
  /** Without it the connection is plain. `caFile` is needed where the system does not trust the issuer. */
  tls?: Readonly<{ caFile?: string }>;
}>;

const CONNECT_TIMEOUT_MS = 10_000;
/** A server that vanished is noticed by pings that nobody answers. */
const PING_INTERVAL_MS = 10_000;
const SILENCE_MS = 30_000;
const MOST_BETWEEN_ATTEMPTS_MS = 2000;

type Client = ReturnType<typeof newClient>;

/**
 * One connection; commands that are given at once travel together. When it is lost, what waits for
 * an answer fails with `store_unreachable`, as does what comes before it is back, which it tries by
 * itself.
 */
export class RedisConnection implements AsyncDisposable {
  readonly #address: string;
  readonly #client: Client;
  /** Why it is not connected, while it is not. */
  #lost: Error | undefined;

  private constructor(address: string, client: Client) {
    this.#address = address;
    this.#client = client;
    client.on('error', (error: Error) => (this.#lost = error));
    client.on('ready', () => (this.#lost = undefined));
  }

  /** Fails with `store_unreachable` or `store_login_failed`, without trying again. */
  static async open(options: RedisAddress): Promise<RedisConnection> {
    const address = `${options.host}:${options.port}`;
    let isOpen = false;
    const client = newClient(options, () => isOpen);
    // What fails says why; without a listener, the process would end.
    client.on('error', () => undefined);
    try {
      await client.connect();
      isOpen = true;
      return new RedisConnection(address, client);
    } catch (error) {
      if (client.isOpen) client.destroy();
      throw storeError(error, address);
    }
  }

  /** Null replies are null, lists are arrays, statuses and numbers as they are. */
  async call<Reply>(...command: readonly RedisArgument[]): Promise<Reply> {
    try {
      return await this.#client.sendCommand<Reply>(command);
    } catch (error) {
      const isOffline = error instanceof ClientOfflineError;
      throw storeError(isOffline ? (this.#lost ?? error) : error, this.#address);
    }
  }

  /** Sends the script's text when Redis does not know it, as after a restart. */
  async run<Reply>(script: Script<Reply>, ...args: readonly RedisArgument[]): Promise<Reply> {
    try {
      return await this.call<Reply>('EVALSHA', script.sha1, '0', ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return this.call<Reply>('EVAL', script.source, '0', ...args);
    }
  }

  /** Waits for what was sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#client.isReady) await this.#client.close();
    else if (this.#client.isOpen) this.#client.destroy();
  }
}

function newClient(
  { host, port, username, password, database, tls }: RedisAddress,
  isOpen: () => boolean,
) {
  const socket = {
    host,
    port,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS,
    reconnectStrategy: (attempts: number, cause: Error) =>
      isOpen() ? Math.min(20 * 2 ** attempts, MOST_BETWEEN_ATTEMPTS_MS) : cause,
  };
  return createClient({
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
    name: 'millrace',
    // Replies of version 2 are the same for scripts and commands, and need no HELLO.
    RESP: 2,
    socket: tls === undefined ? socket : { ...socket, tls: true, ...certificates(tls) },
    pingInterval: PING_INTERVAL_MS,
    // A command that waits for the connection could apply when nobody waits for it any more.
    disableOfflineQueue: true,
  });
}

function certificates({ caFile }: { caFile?: string }): { ca?: Buffer } {
  if (caFile === undefined) return {};
  try {
    return { ca: readFileSync(caFile) };
  } catch (error) {
    throw new MillraceError(
      'config_invalid',
      { expected: 'a CA certificate', file: caFile },
      error,
    );
  }
}
