import type { RedisArgument } from 'redis';
import {
  ClientClosedError,
  ClientOfflineError,
  DisconnectsClientError,
  RESP_TYPES,
  SocketTimeoutError,
} from 'redis';
import { MillraceError } from '../../domain/errors.ts';
import { type Client, newClient, type RedisAddress } from './client.ts';
import { isOfReplica, storeError } from './connection-error.ts';
import { findEncryption } from './encryption.ts';
import type { Script } from './script.ts';

/** Sends one command. Null replies are null, lists are arrays, statuses and numbers as they are. */
export type Send = <Reply>(...command: readonly RedisArgument[]) => Promise<Reply>;

export type ConnectionOptions = Readonly<{
  /** Made before the first command of each connection: behind the address may be another server. */
  check: (send: Send) => Promise<void>;
  /** A server that owes an answer for so long is taken for gone. */
  silenceMs: number;
}>;

/** Replies with bytes instead of text. */
const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

/** What the client says of a command without a connection; why there is none it said before. */
const OFFLINE = [ClientClosedError, ClientOfflineError, DisconnectsClientError];

/**
 * One connection; commands that are given at once travel together. When it is lost, what waits for
 * an answer fails with `store_unreachable`, as does what comes before it is back, which it tries by
 * itself. A server that is silent or turns out to be a replica is given up for another connection,
 * since the address may lead to the new primary by then.
 */
export class RedisConnection implements AsyncDisposable {
  readonly #address: RedisAddress;
  readonly #options: ConnectionOptions;
  #client: Client;
  #state: 'opening' | 'open' | 'ended' = 'opening';
  /** Undefined where the server is yet to be checked. */
  #checked: Promise<void> | undefined;
  /** Why it is not connected, while it is not. */
  #lost: Error | undefined;
  #unanswered = 0;
  #silence: NodeJS.Timeout | undefined;
  #allAnswered = Promise.withResolvers<void>();

  private constructor(address: RedisAddress, options: ConnectionOptions) {
    this.#address = address;
    this.#options = options;
    this.#client = this.#newClient();
  }

  /** Fails as `check` does, with `store_unreachable` or `store_login_failed`, without trying again. */
  static async open(address: RedisAddress, options: ConnectionOptions): Promise<RedisConnection> {
    const connection = new RedisConnection(address, options);
    try {
      await connection.#connect();
      await connection.#check();
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
    connection.#state = 'open';
    return connection;
  }

  readonly call: Send = async <Reply>(...command: readonly RedisArgument[]) => {
    await this.#check();
    return this.#send<Reply>(command);
  };

  /** Sends the script's text when Redis does not know it, as after a restart. */
  async run<Reply>(script: Script<Reply>, ...args: readonly RedisArgument[]): Promise<Reply> {
    const options = script.isBinary ? BINARY : {};
    await this.#check();
    try {
      return await this.#send<Reply>(['EVALSHA', script.sha1, '0', ...args], options);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return this.#send<Reply>(['EVAL', script.source, '0', ...args], options);
    }
  }

  /**
   * Waits for what was sent. Not by the client's own `close`, which waits for its pings too, and for
   * ever where the connection is lost meanwhile.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = 'ended';
    if (this.#unanswered > 0) await this.#allAnswered.promise;
    this.#client.destroy();
  }

  async #connect(): Promise<void> {
    try {
      await this.#client.connect();
    } catch (cause) {
      const error = storeError(cause, this.#address);
      if (!(error instanceof MillraceError) || error.code !== 'store_unreachable') throw error;
      const found = await findEncryption(this.#address);
      if (found === undefined) throw error;
      const advice = `it speaks ${found} on this port: set REDIS_TLS=${found === 'TLS'}`;
      throw new MillraceError('store_login_failed', { ...error.facts, advice }, cause);
    }
  }

  #check(): Promise<void> {
    this.#checked ??= this.#options
      .check((...command) => this.#send(command))
      .catch((error: unknown) => {
        this.#checked = undefined;
        throw error;
      });
    return this.#checked;
  }

  async #send<Reply>(
    command: readonly RedisArgument[],
    options: Parameters<Client['sendCommand']>[1] = {},
  ): Promise<Reply> {
    const client = this.#client;
    this.#expectAnswer();
    try {
      return await client.sendCommand<Reply>(command, options);
    } catch (error) {
      if (isOfReplica(error)) this.#renew(client, error);
      const isOffline = OFFLINE.some((kind) => error instanceof kind);
      throw storeError(isOffline ? (this.#lost ?? error) : error, this.#address);
    } finally {
      this.#answered();
    }
  }

  // The socket's own timeout is put off by each command that is written.
  #expectAnswer(): void {
    if (this.#unanswered++ > 0) return;
    this.#allAnswered = Promise.withResolvers();
    const { silenceMs } = this.#options;
    this.#silence = setTimeout(
      () => this.#renew(this.#client, new SocketTimeoutError(silenceMs)),
      silenceMs,
    );
  }

  #answered(): void {
    if (--this.#unanswered > 0) return void this.#silence?.refresh();
    clearTimeout(this.#silence);
    this.#allAnswered.resolve();
  }

  #renew(client: Client, cause: Error): void {
    if (client !== this.#client) return;
    this.#lost = cause;
    if (this.#state === 'open') {
      this.#client = this.#newClient();
      // It tries until it is destroyed, which is no failure.
      this.#client.connect().catch(() => undefined);
    }
    client.destroy();
  }

  #newClient(): Client {
    const { silenceMs } = this.#options;
    const client = newClient(this.#address, {
      silenceMs,
      triesAgain: () => this.#state === 'open',
    });
    client.on('error', (error: Error) => {
      if (client === this.#client) this.#lost = error;
    });
    client.on('ready', () => {
      this.#lost = undefined;
      this.#checked = undefined;
    });
    return client;
  }
}
