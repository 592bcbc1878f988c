import type {
  BatchStatus,
  ConnectorStatus,
  GeneratorStatus,
  LakeWriterStatus,
  ProcessorStatus,
  RebuildPhase,
} from '../../domain/status.ts';
import type { KeptOperator, KeptValue, KeptWindow } from '../../stream/queries/state-reader.ts';
import type { Served } from '../../batch/serving/serve-run.ts';
import type { RunReport } from '../../batch/run/run-report.ts';
import type { Figure } from '../pipeline.ts';

/**
 * What may be asked of a Millrace from outside, by name. Every operation takes JSON and yields
 * JSON, so that it runs the same in the process that runs everything, reached by its socket, and in
 * the asking process: when nothing runs, on the files; when parts run elsewhere, on the servers.
 *
 * Those that answer once yield once. Those marked *running* fail with `not_running` otherwise.
 */
export type Operations = Readonly<{
  status: Operation<None, StatusReport>;
  /** Yields one line a topic, in name order. */
  topics: Operation<None, TopicFacts>;
  /** Records of one topic, or of all whose name matches; those of one partition in offset order. */
  consume: Operation<ConsumeArguments, ConsumedRecord>;
  'store.get': Operation<Readonly<{ key: string }>, StoreEntry>;
  /** Keys only, in byte order. */
  'store.keys': Operation<ScanArguments, Readonly<{ key: string }>>;
  'store.scan': Operation<ScanArguments, StoreEntry>;
  /** The records that wait, those of one key together and in the log's order; without a processor, of all. */
  'dlq.list': Operation<Readonly<{ processor?: string }>, ParkedRecord>;
  'dlq.show': Operation<Readonly<{ id: string }>, ParkedRecord>;
  /** *Running.* Tries the records of one key again, from its first on. */
  'dlq.replay': Operation<ParkedTarget, ParkedOutcome>;
  /** *Running.* Gives up the first record of a key, and tries those behind it. */
  'dlq.drop': Operation<ParkedTarget, ParkedOutcome>;
  /** *Running.* What an operator of a topology keeps; without an operator, those that keep something. */
  query: Operation<QueryArguments, KeptAnswer>;
  /** *Running.* Has a processor's results built anew, beside those that are served. */
  replay: Operation<ReplayArguments, ReplayEvent>;
  /** Writes what the log holds into the lake, where this process does that. `problem`: why it could not. */
  'lake.flush': Operation<None, Readonly<{ flushed: boolean; problem?: string }>>;
  /** Serves what a run of the models made, once; without a store to serve from, nothing. */
  'models.serve': Operation<ServeArguments, Served>;
  /** *Running.* Proves that the store equals the source while data flows. */
  reconcile: Operation<ReconcileArguments, ReconcileEvent>;
  /** What it told of itself last. */
  'connector.status': Operation<None, ConnectorStatus>;
  /** *Running.* Yields once when the connector rests, or works again. */
  'connector.pause': Operation<None, ConnectorStatus>;
  'connector.resume': Operation<None, ConnectorStatus>;
  /** *Running.* Begins anew what the connector does; yields once when it works, or after some seconds. */
  'connector.restart': Operation<None, ConnectorStatus>;
  /** *Running.* Has tables copied anew while changes flow; yields once when that shows, or after some seconds. */
  'connector.copy': Operation<CopyArguments, ConnectorStatus>;
  /** *Running.* Where the source is, with what is needed to log in. */
  source: Operation<None, SourceAddress>;
  /** *Running.* Yields as soon as the stop has begun; the process of `pid` ends within seconds. */
  stop: Operation<None, Readonly<{ pid: number }>>;
}>;

export type Operation<Arguments, Value> = Readonly<{ arguments: Arguments; value: Value }>;
export type OperationName = keyof Operations;
export type ArgumentsOf<Name extends OperationName> = Operations[Name]['arguments'];
export type ValueOf<Name extends OperationName> = Operations[Name]['value'];

type None = Readonly<Record<string, never>>;

export type StatusReport = Readonly<{
  /** False: nothing runs, and the statuses are the last that were written. */
  running: boolean;
  /** Of the process that runs everything. */
  pid?: number;
  startedAtMs?: number;
  atMs: number;
  dataDir: string;
  pipeline?: string;
  urls: Readonly<{
    /** Of the embedded server, its password included; a server of the user's own without it. */
    postgres?: string;
    /** Brokers of the log. */
    kafka?: string;
    /** Host and port of the store. */
    redis?: string;
  }>;
  /** Parts that run in processes of their own; empty where one process runs all. */
  workers: readonly WorkerFacts[];
  connector?: ConnectorStatus;
  processors: readonly ProcessorStatus[];
  generator?: GeneratorStatus;
  lake?: LakeWriterStatus;
  batch?: BatchStatus;
  /** Over the last seconds; only while running. */
  rates?: Readonly<{
    capturedPerSecond: number;
    /** By processor. */
    processedPerSecond: Readonly<Record<string, number>>;
  }>;
  topics: readonly TopicFacts[];
  logBytes?: number;
  storeBytes?: number;
  /** Parts that failed and were not started again. */
  failures: readonly Readonly<{ part: string; code?: string; message: string }>[];
}>;

/** A part that runs in a process of its own. */
export type WorkerFacts = Readonly<{
  /** Id of the process. */
  worker: string;
  component: string;
  state: string;
  /** How many it has. */
  partitions: number;
  /** When it last told of itself. */
  heardMs: number;
}>;

export type TopicFacts = Readonly<{
  topic: string;
  cleanup: 'delete' | 'compact';
  partitions: readonly Readonly<{ partition: number; start: number; end: number }>[];
  /** Records that may be read: at most, as offsets may have gaps. */
  records: number;
}>;

export type ConsumeArguments = Readonly<{
  /** A topic's name, or a pattern with `*` and `?`. */
  topics: string;
  from:
    | 'beginning'
    | 'end'
    | Readonly<{ offset: number }>
    /** The first record at or after this time. */
    | Readonly<{ timestampMs: number }>;
  /** Go on with what is appended later; else it ends at the end as it is at the start. */
  follow: boolean;
  /** Only records whose key is this JSON (spacing aside) or this text; of a one-column key, its value will do. */
  key?: string;
  /** Ends after so many records. */
  limit?: number;
}>;

export type ConsumedRecord = Readonly<{
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  /** JSON where it parses, else text; null without a key. */
  key: unknown;
  /** Likewise; null is a tombstone. */
  value: unknown;
  headers: Readonly<Record<string, string>>;
}>;

export type ScanArguments = Readonly<{
  /** With `*` and `?`; without them a prefix. */
  pattern: string;
  limit?: number;
}>;

export type StoreEntry =
  | Readonly<{ key: string; type: 'string'; value: string; expiresAtMs?: number }>
  | Readonly<{ key: string; type: 'set'; members: readonly string[] }>
  /** Only from `store.get`. */
  | Readonly<{ key: string; type: 'absent' }>;

export type ServeArguments = Readonly<{
  /** As `runs/<id>.json` in the lake holds it. */
  report: RunReport;
  /** Folder of the models; undefined: what became of the run is served, and no rows. */
  modelsDir?: string;
  lakeDir: string;
}>;

export type CopyArguments = Readonly<{
  /** As schema.table, or by their topics. */
  tables: readonly string[];
}>;

export type ParkedRecord = Readonly<{
  /** `<processor>/<topic>-<partition>@<offset>` */
  id: string;
  processor: string;
  topic: string;
  partition: number;
  offset: number;
  key: string | null;
  /** The first of its key has failed; those behind it only wait. */
  failed: boolean;
  error?: string;
  timestamp?: number;
  /** JSON where it parses, else text. */
  value?: unknown;
}>;

/** One key, by any of its records, or all keys of a processor. */
export type ParkedTarget = Readonly<{ id: string }> | Readonly<{ processor: string; all: true }>;

export type ParkedOutcome = Readonly<{
  processor: string;
  parkedBefore: number;
  parkedAfter: number;
}>;

export type QueryArguments = Readonly<{
  processor: string;
  operator?: string;
  /** JSON or text; of a one-column key, its value will do. */
  key?: string;
  /** Windows that have something of the time between. */
  fromMs?: number;
  toMs?: number;
  /** Of keys, where no key is named. */
  prefix?: string;
  limit?: number;
}>;

export type KeptAnswer =
  | (Readonly<{ kind: 'operator' }> & KeptOperator)
  | (Readonly<{ kind: 'value' }> & KeptValue)
  | (Readonly<{ kind: 'window' }> & KeptWindow);

export type ReplayArguments = Readonly<{
  processor: string;
  from:
    | 'beginning'
    | 'end'
    /** The first record at or after this time, of each partition. */
    | Readonly<{ timestampMs: number }>
    /** Of the one partition that it reads. */
    | Readonly<{ offset: number }>
    /** By `topic-partition`; others begin at the start. */
    | Readonly<{ offsets: Readonly<Record<string, number>> }>;
  /** Goes on until the new results are served. */
  wait: boolean;
}>;

export type ReplayEvent = Readonly<{ processor: string; generation: number }> &
  (
    | Readonly<{
        kind: 'asked';
        /** False: it begins when the processor is started. */
        isRunning: boolean;
        problem?: string;
      }>
    /** `share`: of the records, how much is worked through; 1 is all. */
    | Readonly<{ kind: 'progress'; phase: RebuildPhase; share: number }>
    | Readonly<{ kind: 'done'; tookMs: number }>
  );

export type ReconcileArguments = Readonly<{
  /** After so long, the transactions that keep the snapshot waiting are named. Default 30 s. */
  nameBlockersAfterMs?: number;
}>;

export type ReconcileEvent =
  /** What it does now, or waits for. */
  | Readonly<{ kind: 'progress'; message: string }>
  | (Readonly<{ kind: 'figure'; equal: boolean }> & Figure)
  | Readonly<{ kind: 'summary'; figures: number; differences: number; tookMs: number }>;

export type SourceAddress = Readonly<{
  kind: 'embedded' | 'server';
  host: string;
  port: number;
  database: string;
  user: string;
  password?: string;
  /** As libpq takes it. */
  url: string;
}>;
