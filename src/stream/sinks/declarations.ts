import { MillraceError } from '../../domain/errors.ts';
import type { Sink, SinkRecord, SinkRefusal, SinkWriter } from '../../ports/sink.ts';

/*
 * Sinks as a pipeline names them. Wherever a text may say `${env:NAME}`, that is filled in from the
 * environment when the pipeline starts: so no password stands in a pipeline.
 */

type Declared = Readonly<{
  /**
   * Without it, a variable that the environment lacks keeps the pipeline from starting; with it,
   * the sink rests, and what is meant for it waits in its topic.
   */
  optional?: boolean;
}>;

export type PostgresTableOptions = Declared &
  Readonly<{
    /** `postgres://user:password@host:port/database?sslmode=…`; a variable's value is encoded, but for a whole address. */
    url: string;
    /** `schema.table`; it has a primary key or a unique index on `key`. */
    table: string;
    /** Columns of the key. */
    key: readonly string[];
    /** Field of the value by column. Without it, each field is the column of its name. */
    columns?: Readonly<Record<string, string>>;
    /** SQL that creates the table, run where it is missing. */
    create?: string;
  }>;

export type WebhookOptions = Declared &
  Readonly<{
    url: string;
    /** The whole of the header, such as `Bearer ${env:ALERTS_TOKEN}`. */
    authorization?: string;
    headers?: Readonly<Record<string, string>>;
    /** For one attempt; default 10 s. */
    timeoutMs?: number;
  }>;

export type CustomSinkOptions = Readonly<{
  /** Shown in messages; default `custom sink`. */
  description?: string;
  /** So many records a call at most; default 100. */
  batchRecords?: number;
  /**
   * Takes records in their order, at least once each: `id` tells repetitions. What it returns is
   * refused, and parked with its key. When it throws, the records come again, later.
   */
  write(
    records: readonly SinkRecord[],
    context: Readonly<{ task: string; signal: AbortSignal }>,
  ): Promise<readonly SinkRefusal[] | void>;
}>;

export type PostgresTableDeclaration = PostgresTableOptions & Readonly<{ kind: 'postgres table' }>;
export type WebhookDeclaration = WebhookOptions & Readonly<{ kind: 'webhook' }>;

/** What `sink()` of a stream takes; any `Sink` of one's own, too. */
export type SinkDeclaration = PostgresTableDeclaration | WebhookDeclaration | Sink;

/** Keeps a table of another database at what a stream comes to: each record counts exactly once. */
export function postgresTable(options: PostgresTableOptions): SinkDeclaration {
  const { table, key } = options;
  if (!/^[^.]+(\.[^.]+)?$/.test(table))
    throw new TypeError(`table of a sink: expected schema.table, found "${table}"`);
  if (key.length === 0) throw new TypeError(`key of the sink into ${table}: expected columns`);
  return { ...options, kind: 'postgres table' };
}

/** Calls a URL for each record, in order: at least once, with the record's id as `Idempotency-Key`. */
export function webhook(options: WebhookOptions): SinkDeclaration {
  return { ...options, kind: 'webhook' };
}

/** Writes by a function. One that can keep how far it came, with what it writes, is better a `Sink`. */
export function customSink(options: CustomSinkOptions): SinkDeclaration {
  const { description = 'custom sink', batchRecords = 100 } = options;
  return {
    description,
    keepsAccount: false,
    batchRecords,
    open: (task) => Promise.resolve(customWriter(task, description, options)),
  };
}

function customWriter(task: string, description: string, { write }: CustomSinkOptions): SinkWriter {
  return {
    account: undefined,
    async write({ records }, signal) {
      signal.throwIfAborted();
      if (records.length === 0) return [];
      try {
        return (await write(records, { task, signal })) ?? [];
      } catch (error) {
        if (error instanceof MillraceError) throw error;
        const said = error instanceof Error ? error.message : String(error);
        throw new MillraceError('sink_failed', { sink: description, said }, error);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
