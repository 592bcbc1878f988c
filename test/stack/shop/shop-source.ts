import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PostgresClient, type TextQuery } from '../../../src/adapters/postgres/client.ts';
import type { TemporaryPostgres } from '../../postgres.ts';
import { deployedPostgres } from '../servers/postgres.ts';
import { ShopLoad } from './shop-load.ts';

const SCHEMA = join(import.meta.dirname, '../../../pipelines/shop/schema.sql');

/** The PostgreSQL that has the shop's tables. Any number of Millraces may follow it, each by its own slot. */
export class ShopSource implements AsyncDisposable {
  readonly server: TemporaryPostgres;
  readonly #client: PostgresClient;

  private constructor(server: TemporaryPostgres, client: PostgresClient) {
    this.server = server;
    this.#client = client;
  }

  static async start(): Promise<ShopSource> {
    const server = await deployedPostgres();
    try {
      const client = await PostgresClient.connect(server);
      await client.query(await readFile(SCHEMA, 'utf8'));
      return new ShopSource(server, client);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get query(): TextQuery {
    return this.#client.query;
  }

  /** How a Millrace finds it; `port` where a relay stands before it. */
  env(port: number = this.server.port): Record<string, string> {
    const { host, user, password, database } = this.server;
    return {
      POSTGRES_HOST: host,
      POSTGRES_PORT: String(port),
      POSTGRES_USER: user,
      POSTGRES_PASSWORD: password,
      POSTGRES_DB: database,
    };
  }

  load(options: Readonly<{ seed: number; intervalMs?: number }>): ShopLoad {
    return new ShopLoad({ ...options, facts: async () => this.server });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.server.stop();
  }
}
