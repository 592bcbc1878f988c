import type pg from 'pg';
import type {
  Sink,
  SinkAccount,
  SinkBatch,
  SinkRecord,
  SinkRefusal,
  SinkWriter,
} from '../../ports/sink.ts';
import { PostgresClient, type TextQuery } from './client.ts';
import type { ConnectionFacts } from './connection.ts';
import { TableSinkAccount } from './table-sink-account.ts';
import { isOfChangedTable, isOfRow, sinkError } from './table-sink-error.ts';
import { foldRows, rowChange, type RowChange, type RowMapping } from './table-sink-rows.ts';
import { TargetTable } from './table-sink-target.ts';

export type TableSinkOptions = Readonly<{ connection: ConnectionFacts; table: string }> &
  RowMapping &
  Readonly<{
    /** Creates the table where it is missing. */
    create?: string;
  }>;

const BATCH_RECORDS = 1000;

/**
 * Keeps a table of a database of its own at what a stream of records comes to: a record writes the row
 * of its key, null removes it. Rows and account move in one transaction, so each record counts once.
 *
 * A batch is written in a few statements. Where the server refuses it, it is split in halves until
 * the rows that are at fault stand alone: they are told, and the rest is written.
 */
export class TableSink implements Sink {
  readonly description: string;
  readonly keepsAccount = true;
  readonly batchRecords = BATCH_RECORDS;
  readonly #options: TableSinkOptions;

  constructor(options: TableSinkOptions) {
    this.#options = options;
    this.description = `PostgreSQL table ${options.table}`;
  }

  async open(task: string, signal: AbortSignal): Promise<SinkWriter> {
    const { connection, table, key, create } = this.#options;
    try {
      signal.throwIfAborted();
      const client = await PostgresClient.connect(connection);
      try {
        const target = await TargetTable.find(client, { table, key, create });
        const account = await TableSinkAccount.open(client, task);
        return new TableSinkWriter(this.#options, client, target, account);
      } catch (error) {
        await client[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      throw sinkError(error, { table });
    }
  }
}

class TableSinkWriter implements SinkWriter {
  readonly #options: TableSinkOptions;
  readonly #client: PostgresClient;
  readonly #account: TableSinkAccount;
  #target: TargetTable;

  constructor(
    options: TableSinkOptions,
    client: PostgresClient,
    target: TargetTable,
    account: TableSinkAccount,
  ) {
    this.#options = options;
    this.#client = client;
    this.#target = target;
    this.#account = account;
  }

  get account(): SinkAccount | undefined {
    return this.#account.value;
  }

  async write(batch: SinkBatch, signal: AbortSignal): Promise<readonly SinkRefusal[]> {
    // The server may keep a statement waiting for as long as another holds a lock.
    const hangUp = (): void => void this.#client[Symbol.asyncDispose]();
    signal.throwIfAborted();
    signal.addEventListener('abort', hangUp, { once: true });
    try {
      return await this.#writeAsTableIs(batch);
    } catch (error) {
      throw sinkError(error, { table: this.#options.table });
    } finally {
      signal.removeEventListener('abort', hangUp);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]();
  }

  /** Columns may have come and gone since they were read. */
  async #writeAsTableIs(batch: SinkBatch): Promise<readonly SinkRefusal[]> {
    const isAsKnown = batch.records.every(({ value }) => this.#target.knows(value));
    if (this.#options.columns === undefined && !isAsKnown) await this.#lookAgain();
    try {
      return await this.#writeOnce(batch);
    } catch (error) {
      if (!isOfChangedTable(error)) throw error;
      await this.#lookAgain();
      return await this.#writeOnce(batch);
    }
  }

  async #lookAgain(): Promise<void> {
    const { table, key } = this.#options;
    this.#target = await TargetTable.find(this.#client, { table, key, create: undefined });
  }

  async #writeOnce(batch: SinkBatch): Promise<readonly SinkRefusal[]> {
    const part = new Part(this.#target, this.#options);
    await this.#client.transaction(async (query) => {
      await this.#account.move(batch, query);
      await part.write(batch.records, query);
      await this.#account.leaveOut(batch, part.refusals, part.untaken, query);
    });
    this.#account.moved(batch, part.untaken);
    return part.refusals;
  }
}

/** The records of one transaction, as they are written and refused. */
class Part {
  readonly refusals: SinkRefusal[] = [];
  /** Offsets of the refused, and of those behind them. */
  readonly untaken = new Set<number>();
  readonly #target: TargetTable;
  readonly #mapping: RowMapping;
  readonly #refusedKeys = new Set<string>();

  constructor(target: TargetTable, mapping: RowMapping) {
    this.#target = target;
    this.#mapping = mapping;
  }

  async write(records: readonly SinkRecord[], query: TextQuery): Promise<void> {
    const changes: RowChange[] = [];
    const refusals = new Map<SinkRecord, string>();
    for (const record of records) {
      const change = rowChange(record, this.#mapping, this.#target.types);
      if (typeof change === 'string') refusals.set(record, change);
      else changes.push(change);
    }
    // One at a time, in their order, as what is refused has those behind it wait.
    let from = 0;
    for (const [record, reason] of refusals) {
      const to = changes.findIndex((change) => change.record.offset > record.offset);
      await this.#write(changes.slice(from, to < 0 ? changes.length : to), query);
      from = to < 0 ? changes.length : to;
      this.#refuse(record, { name: 'RowRefused', message: reason });
    }
    await this.#write(changes.slice(from), query);
  }

  async #write(all: readonly RowChange[], query: TextQuery): Promise<void> {
    const changes = all.filter(({ record }) => !this.#waits(record));
    const [first] = changes;
    if (first === undefined) return;
    // A check put off to the end would fail there, when no row can be blamed any more.
    await query('SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT part');
    try {
      await this.#target.apply(foldRows(changes, this.#mapping.key), query);
      await query('RELEASE part');
    } catch (error) {
      if (!isOfRow(error)) throw error;
      await query('ROLLBACK TO part; RELEASE part');
      if (changes.length === 1) return this.#refuse(first.record, refusalOf(error));
      const half = Math.ceil(changes.length / 2);
      await this.#write(changes.slice(0, half), query);
      await this.#write(changes.slice(half), query);
    }
  }

  #waits({ keyText, offset }: SinkRecord): boolean {
    const waits = keyText !== null && this.#refusedKeys.has(keyText);
    if (waits) this.untaken.add(offset);
    return waits;
  }

  #refuse(record: SinkRecord, reason: Omit<SinkRefusal, 'offset'>): void {
    if (this.#waits(record)) return;
    this.untaken.add(record.offset);
    this.refusals.push({ offset: record.offset, ...reason });
    if (record.keyText !== null) this.#refusedKeys.add(record.keyText);
  }
}

function refusalOf({
  code,
  message,
  detail,
  column,
}: pg.DatabaseError): Omit<SinkRefusal, 'offset'> {
  const more = [column === undefined ? '' : `column ${column}`, detail ?? ''].filter(Boolean);
  return { name: `SQLSTATE ${code}`, message: [message, ...more].join('; ') };
}
