import type pg from 'pg';
import { openConnection, sourceError } from './connection.ts';
import type { Attempt, ConnectionFacts } from './connection.ts';

/** A row's values as PostgreSQL's text, by column name. */
export type TextRow = Readonly<Record<string, string | null>>;

/** Parameters are `$1`, `$2`, …; without any, `sql` may hold several statements. */
export type TextQuery = (
  sql: string,
  parameters?: readonly unknown[],
) => Promise<readonly TextRow[]>;

/**
 * One connection for queries that gives values as text. Calls wait for each other, and a
 * transaction keeps the others out. Once lost it stays lost: open a new one.
 */
export class PostgresClient implements AsyncDisposable {
  readonly #facts: ConnectionFacts;
  readonly #connection: pg.Client;
  #last: Promise<unknown> = Promise.resolve();
  #isOpen = true;

  private constructor(facts: ConnectionFacts, connection: pg.Client) {
    this.#facts = facts;
    this.#connection = connection;
    connection.on('end', () => {
      this.#isOpen = false;
    });
  }

  static async connect(facts: ConnectionFacts): Promise<PostgresClient> {
    return new PostgresClient(facts, await openConnection(facts));
  }

  /** False once the server, the network or `dispose` has ended the connection. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  readonly query: TextQuery = (sql, parameters) => this.attempt({}, sql, parameters);

  /** As `query`; a refusal names the purpose. */
  attempt(
    attempt: Attempt,
    sql: string,
    parameters?: readonly unknown[],
  ): Promise<readonly TextRow[]> {
    return this.#inTurn(() => this.#run(attempt, sql, parameters));
  }

  /** Commits when `work` resolves, rolls back when it rejects. `work` must use the `query` it is given. */
  transaction<T>(
    work: (query: TextQuery) => Promise<T>,
    mode: '' | 'ISOLATION LEVEL REPEATABLE READ READ ONLY' = '',
  ): Promise<T> {
    return this.#inTurn(async () => {
      await this.#run({}, `BEGIN ${mode}`);
      try {
        const result = await work((sql, parameters) => this.#run({}, sql, parameters));
        await this.#commit();
        return result;
      } catch (error) {
        // A connection that is lost has rolled back by itself; `error` already says so.
        await this.#run({}, 'ROLLBACK').catch(() => undefined);
        throw error;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOpen = false;
    // Ending a connection that was lost fails; it is ended all the same.
    await this.#connection.end().catch(() => undefined);
  }

  async #run(
    attempt: Attempt,
    sql: string,
    parameters?: readonly unknown[],
  ): Promise<readonly TextRow[]> {
    try {
      const result =
        parameters === undefined
          ? await this.#connection.query<TextRow>(sql)
          : await this.#connection.query<TextRow>(sql, [...parameters]);
      return result.rows ?? [];
    } catch (error) {
      throw sourceError(error, this.#facts, attempt);
    }
  }

  /** COMMIT of a transaction that has failed rolls back, and says so only by its tag. */
  async #commit(): Promise<void> {
    const { command } = await this.#connection.query('COMMIT').catch((error: unknown) => {
      throw sourceError(error, this.#facts);
    });
    if (command !== 'COMMIT') throw new Error('a statement failed, so nothing was committed');
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** One query on a connection of its own. */
export async function query(
  facts: ConnectionFacts,
  sql: string,
  parameters?: readonly unknown[],
): Promise<readonly TextRow[]> {
  await using client = await PostgresClient.connect(facts);
  return await client.query(sql, parameters);
}
