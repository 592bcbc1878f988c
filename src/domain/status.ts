/**
 * What each part tells of itself, as a record in the status topic, keyed by `component`; where
 * several processes may run the same part, by `component@worker`, and a tombstone when that one ends.
 */
export type Status =
  | ConnectorStatus
  | ProcessorStatus
  | GeneratorStatus
  | BatchStatus
  | LakeWriterStatus;

type Common = Readonly<{
  /** When this was written, ms since the epoch. */
  atMs: number;
  /** Id of the process that tells, where several share the work; absent where one process runs all. */
  worker?: string;
  /** The last failure, until work goes on. */
  problem?: string;
}>;

export const CONNECTOR_STATES = [
  'starting',
  'copying',
  'streaming',
  'waiting',
  'paused',
  'stopped',
  'failed',
] as const;
export type ConnectorState = (typeof CONNECTOR_STATES)[number];

export type ConnectorStatus = Common &
  Readonly<{
    component: 'connector';
    name: string;
    /** `waiting`: the source is away, and tried again. */
    state: ConnectorState;
    slot: string;
    publication: string;
    /** Confirmed to the server, as PostgreSQL writes an LSN. */
    confirmedLsn?: string;
    /** WAL bytes that the server keeps because this slot has not confirmed them. */
    lagBytes?: number;
    /** Age of the last change that became durable when it did: commit → log. */
    lagMs?: number;
    /**
     * Every change that was committed before it, by the source's clock, is in the log; ms since the
     * epoch. It passes where nobody writes, too, but not during a copy. Not told by Debezium.
     */
    passedMs?: number;
    /** Changes (records without tombstones) made durable since the start of the process. */
    changes: number;
    copy?: readonly Readonly<{
      table: string;
      rows: number;
      estimatedRows: number;
      done: boolean;
    }>[];
  }>;

export const PROCESSOR_STATES = ['starting', 'running', 'held', 'stopped', 'failed'] as const;
export type ProcessorState = (typeof PROCESSOR_STATES)[number];

/** Of a processor whose results are built anew, in this order. */
const REBUILD_PHASES = [
  /** Both generations work; the new one serves under keys that nobody is shown. */
  'rebuilding',
  /** The old one has stopped, and the new one comes to where that stopped. */
  'overtaking',
  /** Neither works. Served keys that the new one does not have go. */
  'removing',
  /** Those that it has get their names. */
  'moving',
  /** What is left of other generations goes. */
  'finishing',
] as const;
export type RebuildPhase = (typeof REBUILD_PHASES)[number];

export type ProcessorStatus = Common &
  Readonly<{
    component: `processor:${string}`;
    name: string;
    state: ProcessorState;
    /** Records taken into account since the start of the process. */
    records: number;
    /** Records parked behind a bad one, itself included. */
    parked: number;
    /** Elements that came too late for their windows, since the start of the process. */
    late: number;
    tasks: readonly Readonly<{
      task: string;
      /** Where several workers share the tasks: the one that runs it; absent while none does. */
      worker?: string;
      /** Of each partition: the next record to read, and the log's end. */
      partitions: readonly Readonly<{
        topic: string;
        partition: number;
        offset: number;
        end: number;
      }>[];
    }>[];
    /** Id of the hold that this processor has come to rest for. */
    hold?: string;
    /** Its results are built anew beside those that are served. */
    rebuild?: Readonly<{
      generation: number;
      phase: RebuildPhase;
      /** Of the records, how much is worked through; 1 is all. */
      share: number;
    }>;
  }>;

export type GeneratorStatus = Common &
  Readonly<{
    component: 'generator';
    state: 'running' | 'stopped' | 'failed';
    batches: number;
    rows: number;
  }>;

/** What runs the models at an interval. */
export type BatchStatus = Common &
  Readonly<{
    component: 'batch';
    state: 'waiting' | 'running' | 'stopped' | 'failed';
    /** Ended since the start of the process, those included that failed. */
    runs: number;
    failed: number;
    last?: Readonly<{
      runId: string;
      startedAtMs: number;
      seconds: number;
      /** Models that were made, and those that were not. */
      models: number;
      failedModels: readonly string[];
      /** Models that wait, such as for a table that is being copied; absent without any. */
      waiting?: readonly Readonly<{ name: string; for: string }>[];
      /** Tests that failed, by severity. */
      warnings: number;
      errors: number;
    }>;
  }>;

export type LakeWriterStatus = Common &
  Readonly<{
    component: 'lake-writer';
    state: 'starting' | 'running' | 'stopped' | 'failed';
    /** Records in the log that the lake does not hold yet, as of the last look; gaps in offsets count. */
    lag: number;
    /** When the lake last held all that was in the log. */
    flushedAtMs?: number;
    /** Rows written since the start of the process. */
    rows: number;
    /** Values that did not fit the types of their columns, and are kept beside them; since the start. */
    unfitRows: number;
    /** Records that were no change events, since the start. */
    deadLetters: number;
    /** Tables of the lake that the source has no longer, or that are no longer captured, such as `public.orders`. */
    gone?: readonly string[];
  }>;
