import { type API, Connection, type ConnectionOptions } from '@platformatic/kafka';
import type { HostAndPort } from './address.ts';

export type LaneOptions = Readonly<{
  security: (host: string) => ConnectionOptions;
  /** A broker that has not answered a request by then counts as gone, and so does the connection. */
  requestTimeoutMs: number;
  connectTimeoutMs: number;
}>;

/**
 * Connections to brokers, one each, made when they are needed and made anew when they were lost.
 *
 * A broker takes the requests of a connection one after the other, so what may wait long, or must
 * not wait for others, has a lane of its own.
 */
export class Lane implements AsyncDisposable {
  readonly #options: LaneOptions;
  readonly #connections = new Map<string, Promise<Connection>>();
  #isClosed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Rejects when the broker cannot be reached, does not answer, or answers with an error. */
  async call<Arguments extends unknown[], Response>(
    broker: HostAndPort,
    api: API<Arguments, Response>,
    ...args: Arguments
  ): Promise<Response> {
    const connection = await this.#connectionTo(broker);
    return api.async(connection, ...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const opened = await Promise.allSettled(this.#connections.values());
    await Promise.all(
      opened.filter((each) => each.status === 'fulfilled').map(({ value }) => end(value)),
    );
  }

  async #connectionTo(broker: HostAndPort): Promise<Connection> {
    if (this.#isClosed) throw new Error('the connections were closed');
    const name = `${broker.host}:${broker.port}`;
    const existing = this.#connections.get(name);
    if (existing !== undefined && isUsable(await existing)) return existing;
    // Someone else may have begun to replace it meanwhile.
    const current = this.#connections.get(name);
    if (current !== existing && current !== undefined) return current;
    const opening = this.#open(broker);
    this.#connections.set(name, opening);
    opening.catch(() => {
      if (this.#connections.get(name) === opening) this.#connections.delete(name);
    });
    return opening;
  }

  async #open({ host, port }: HostAndPort): Promise<Connection> {
    const { security, requestTimeoutMs, connectTimeoutMs } = this.#options;
    const connection = new Connection('millrace', {
      ...security(host),
      connectTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
    });
    // What waits for an answer is told itself; without a listener, the process would end.
    connection.on('error', () => undefined);
    await connection.connect(host, port);
    if (this.#isClosed) {
      await end(connection);
      throw new Error('the connections were closed');
    }
    return connection;
  }
}

function isUsable({ status }: Connection): boolean {
  return status === 'connected' || status === 'reauthenticating';
}

/** At once: what was not sent has waited for a broker that takes nothing. */
async function end(connection: Connection): Promise<void> {
  const closed = connection.close();
  connection.socket.destroy();
  await closed;
}
