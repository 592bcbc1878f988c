import type { ConnectorStatus } from '../../domain/status.ts';

type Line = { rows: number; estimatedRows: number; done: boolean };

/** What Debezium tells of its copies in the topic of its notifications. */
type Notification = Readonly<{
  aggregate_type?: string;
  type?: string;
  additional_data?: Readonly<{
    data_collections?: string;
    current_collection_in_progress?: string;
    scanned_collection?: string;
    total_rows_scanned?: string;
    status?: string;
  }>;
}>;

/**
 * What copies have come to, by Debezium's notifications. See
 * https://debezium.io/documentation/reference/stable/configuration/notification.html
 */
export class CopyWatch {
  /** Why a table was not copied. */
  problem: string | undefined;
  readonly #lines = new Map<string, Line>();
  readonly #estimates: (table: string) => number;

  constructor(estimates: (table: string) => number) {
    this.#estimates = estimates;
  }

  /** These are to be copied. What is done makes room. */
  ordered(tables: readonly string[]): void {
    this.problem = undefined;
    for (const [table, { done }] of this.#lines) if (done) this.#lines.delete(table);
    for (const table of tables)
      this.#lines.set(table, { rows: 0, estimatedRows: this.#estimates(table), done: false });
  }

  take(value: Uint8Array): void {
    const {
      aggregate_type,
      type,
      additional_data = {},
    } = JSON.parse(Buffer.from(value).toString('utf8')) as Notification;
    if (!/^(Initial|Incremental) Snapshot$/.test(aggregate_type ?? '')) return;
    const { data_collections, scanned_collection, total_rows_scanned, status } = additional_data;
    if (type === 'DATA_COLLECTIONS_RESOLVED') {
      const tables = (data_collections ?? '').split(',').filter((table) => table !== '');
      this.ordered(tables.filter((table) => this.#lines.get(table)?.done !== false));
    }
    if (type === 'TABLE_SCAN_COMPLETED' && scanned_collection !== undefined)
      this.#completed(scanned_collection, Number(total_rows_scanned ?? 0), status);
  }

  tables(): NonNullable<ConnectorStatus['copy']> {
    return [...this.#lines].map(([table, line]) => ({ table, ...line }));
  }

  #completed(table: string, rows: number, status: string | undefined): void {
    const line = this.#lines.get(table) ?? { estimatedRows: rows, done: false, rows };
    this.#lines.set(table, { ...line, rows, done: true });
    if (status !== undefined && !['SUCCEEDED', 'EMPTY'].includes(status))
      this.problem = `${table} was not copied: ${status}`;
  }
}
