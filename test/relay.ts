import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Stands between a client and a server, at a port that stays: opened and closed, the server comes and goes. */
export class Relay implements AsyncDisposable {
  #to: Readonly<{ host: string; port: number }>;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(to: Readonly<{ host: string; port: number }>) {
    this.#to = to;
  }

  /** Known once it was open. */
  get port(): number {
    return this.#port;
  }

  /** Where connections lead from now on; those there are stay. */
  lead(to: Readonly<{ host: string; port: number }>): void {
    this.#to = to;
  }

  async open(): Promise<void> {
    const server = createServer((client) => {
      const upstream = connect(this.#to);
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.pipe(other);
        // A side that breaks takes the other with it: that is what the tests are about.
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          other.destroy();
          this.#sockets.delete(socket);
        });
      }
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
