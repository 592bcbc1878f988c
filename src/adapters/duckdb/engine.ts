import { availableParallelism } from 'node:os';
import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  ResultReturnType,
  StatementType,
} from '@duckdb/node-api';
import { MillraceError } from '../../domain/errors.ts';
import { ScratchFolder } from '../../lib/scratch-folder.ts';
import type { SqlColumn, SqlEngine, SqlRows, SqlValue } from '../../ports/sql-engine.ts';
import { failureOf, isUnnamedDamage, parquetFilesIn } from './failure.ts';
import { parameterOf } from './parameter.ts';
import { literal } from './quote.ts';
import { columnOf, columnsOf, rowsOf } from './value.ts';

export type DuckDbOptions = Readonly<{
  /** As DuckDB reads it: `512MB`. What does not fit is spilled. */
  memoryLimit: string;
  /** Each takes memory of its own in many plans; without it as many as there are cores, but at most four. */
  threads?: number;
  /** Created when missing; in it, a folder for what is spilled, removed at close. */
  tempDirectory: string;
  /** Without it, what DuckDB takes: nine tenths of the disk's free space. */
  maxTempBytes?: number;
}>;

const MOST_THREADS = 4;
/** DuckDB forgets an interrupt that comes before the statement has started, so it is said again until it was heard. */
const INTERRUPT_EVERY_MS = 20;

/**
 * DuckDB in this process, in memory but for what it spills. Works in worker threads; each engine
 * is an instance of its own, with its own memory limit.
 *
 * A statement waits for the one before it, `read` included: what is run within its loop, on the
 * same engine, would wait for ever. A statement occupies one of Node's four I/O threads.
 */
export class DuckDbEngine implements SqlEngine {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #spill: ScratchFolder;
  #closed = false;
  #last: Promise<void> = Promise.resolve();

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    spill: ScratchFolder,
  ) {
    this.#instance = instance;
    this.#connection = connection;
    this.#spill = spill;
  }

  static async open(options: DuckDbOptions): Promise<DuckDbEngine> {
    await using resources = new AsyncDisposableStack();
    const spill = resources.use(await ScratchFolder.create(options.tempDirectory, 'duckdb-'));
    const { maxTempBytes, threads = Math.min(availableParallelism(), MOST_THREADS) } = options;
    try {
      const instance = await DuckDBInstance.create(':memory:', {
        threads: String(threads),
        temp_directory: spill.dir,
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
        allow_community_extensions: 'false',
      });
      resources.defer(() => instance.closeSync());
      const connection = await instance.connect();
      resources.defer(() => connection.closeSync());
      await connection.run("SET GLOBAL TimeZone = 'UTC'");
      // Limits are set here, for among the options above a bad one is refused without a word on
      // why, and that of the temporary folder is not kept.
      await connection.run(`SET GLOBAL memory_limit = ${literal(options.memoryLimit)}`);
      if (maxTempBytes !== undefined)
        await connection.run(`SET GLOBAL max_temp_directory_size = '${maxTempBytes}B'`);
      resources.move();
      return new DuckDbEngine(instance, connection, spill);
    } catch (error) {
      throw failureOf(error, '');
    }
  }

  async run(sql: string, signal?: AbortSignal): Promise<number> {
    using _turn = await this.#turn();
    return await this.#attempt(sql, signal, async () => {
      let written = 0;
      for (const prepare of await this.#statementsOf(sql)) {
        signal?.throwIfAborted();
        using statement = disposable(await prepare());
        written = await rowsWritten(await statement.value.run());
      }
      return written;
    });
  }

  async query(
    sql: string,
    parameters: readonly SqlValue[] = [],
    signal?: AbortSignal,
  ): Promise<SqlRows> {
    let columns: SqlRows['columns'] = [];
    const rows: (readonly SqlValue[])[] = [];
    for await (const batch of this.#batches(sql, parameters, signal)) {
      columns = batch.columns;
      for (const row of batch.rows) rows.push(row);
    }
    return { columns, rows };
  }

  read(sql: string, signal?: AbortSignal): AsyncIterable<SqlRows> {
    return this.#batches(sql, [], signal);
  }

  /** What one statement would give, without running it. */
  async columnsOf(sql: string, signal?: AbortSignal): Promise<readonly SqlColumn[]> {
    using _turn = await this.#turn();
    return await this.#attempt(sql, signal, async () => {
      using statement = await this.#onlyStatementOf(sql);
      const { value } = statement;
      return Array.from({ length: value.columnCount }, (_, index) =>
        columnOf(value.columnName(index), value.columnType(index)),
      );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last;
    this.#connection.closeSync();
    this.#instance.closeSync();
    await this.#spill[Symbol.asyncDispose]();
  }

  async *#batches(
    sql: string,
    parameters: readonly SqlValue[],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<SqlRows> {
    using _turn = await this.#turn();
    const result = await this.#attempt(sql, signal, async () => {
      using statement = await this.#onlyStatementOf(sql);
      parameters.forEach((each, index) => {
        const { value, type } = parameterOf(each);
        statement.value.bindValue(index + 1, value, type);
      });
      // Awaited here, for the statement must outlive its start.
      return await statement.value.stream();
    });
    const columns = columnsOf(result);
    let empty = true;
    for (;;) {
      const rows = await this.#attempt(sql, signal, async () => {
        const chunk = await result.fetchChunk();
        return chunk === null ? [] : rowsOf(chunk);
      });
      if (rows.length === 0) break;
      empty = false;
      yield { columns, rows };
    }
    if (empty) yield { columns, rows: [] };
  }

  async #onlyStatementOf(sql: string): Promise<DisposableStatement> {
    const [prepare, another] = await this.#statementsOf(sql);
    if (prepare === undefined || another !== undefined)
      throw new MillraceError('sql_failed', { problem: 'Expected one statement.' });
    return disposable(await prepare());
  }

  /** Of each statement in the text, what prepares it; not before its turn, since it may need those before it. */
  async #statementsOf(sql: string): Promise<(() => Promise<DuckDBPreparedStatement>)[]> {
    const extracted = await this.#connection.extractStatements(sql);
    return Array.from({ length: extracted.count }, (_, index) => async () => {
      const statement = await extracted.prepare(index);
      // INSTALL and LOAD: the one would reach the network, the other would run foreign code.
      if (statement.statementType !== StatementType.LOAD) return statement;
      statement.destroySync();
      throw new MillraceError('sql_failed', { problem: 'Extensions are not loaded here.' });
    });
  }

  /** Waits for the statements before; until the turn is disposed of, those after it wait. */
  async #turn(): Promise<Disposable> {
    if (this.#closed) throw new Error('bug: a statement on an SQL engine that was closed');
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => promise);
    await before;
    return { [Symbol.dispose]: resolve };
  }

  async #attempt<T>(
    sql: string,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    let again: NodeJS.Timeout | undefined;
    const interrupt = () => {
      this.#connection.interrupt();
      again = setInterval(() => this.#connection.interrupt(), INTERRUPT_EVERY_MS);
    };
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      const failure = failureOf(error, sql);
      throw isUnnamedDamage(failure) ? await this.#withDamagedFile(failure, sql) : failure;
    } finally {
      signal?.removeEventListener('abort', interrupt);
      clearInterval(again);
    }
  }

  /** Finds the file by reading each that the statement may have read, alone. */
  async #withDamagedFile(failure: MillraceError, sql: string): Promise<MillraceError> {
    const views = await this.#connection.run('SELECT sql FROM duckdb_views() WHERE NOT internal');
    const texts = [sql, ...(await views.getRows()).map(([text]) => String(text))];
    for (const file of parquetFilesIn(texts.join('\n')))
      try {
        await this.#connection.run(`SELECT max(COLUMNS(*)) FROM read_parquet(${literal(file)})`);
      } catch {
        // In whatever words: alone, too, it can't be read.
        const { problem } = failure.facts;
        return new MillraceError('lake_file_damaged', { file, problem }, failure.cause);
      }
    return failure;
  }
}

/** A statement that writes gives their number as its one row; CREATE only where it has a SELECT. */
async function rowsWritten(result: DuckDBResult): Promise<number> {
  const writes =
    result.returnType === ResultReturnType.CHANGED_ROWS ||
    result.statementType === StatementType.CREATE;
  if (!writes) return 0;
  const [[count] = []] = await result.getRows();
  return typeof count === 'bigint' ? Number(count) : 0;
}

type DisposableStatement = Disposable & Readonly<{ value: DuckDBPreparedStatement }>;

function disposable(value: DuckDBPreparedStatement): DisposableStatement {
  return { value, [Symbol.dispose]: () => value.destroySync() };
}
