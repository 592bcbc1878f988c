import type { ConnectorStatus, GeneratorStatus, ProcessorStatus } from '../../domain/status.ts';

/** What `up` is told on the command line; all else is in the environment. */
export type UpOptions = Readonly<{
  dataDir: string;
  /** The folder that holds pipeline.ts. */
  pipelineDir: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Create the pipeline's schema and run its generator on a server of the user's own too. */
  demo: boolean;
  /** False: no generator, even embedded. */
  generate: boolean;
  /** Take over a slot that exists while the log holds no position. */
  adoptSlot: boolean;
}>;

/** What happens while Millrace runs, for the command line to print. */
export type UpEvent =
  /** A part that is being started, in words such as "PostgreSQL". */
  | Readonly<{ kind: 'starting'; part: string }>
  /** All is up; addresses by name. */
  | Readonly<{ kind: 'ready'; urls: Readonly<Record<string, string>>; tookMs: number }>
  /** Once a second while running, and when the connector's state changes. */
  | Readonly<{
      kind: 'tick';
      connector?: ConnectorStatus;
      processors: readonly ProcessorStatus[];
      generator?: GeneratorStatus;
      capturedPerSecond: number;
      processedPerSecond: Readonly<Record<string, number>>;
    }>
  /** A part failed; `restarting` says whether it is tried again. */
  | Readonly<{
      kind: 'failure';
      part: string;
      code?: string;
      message: string;
      restarting: boolean;
    }>
  | Readonly<{ kind: 'recovered'; part: string }>
  | Readonly<{ kind: 'stopping' }>;

export type CaptureOptions = Readonly<{
  dataDir: string;
  connectorFile: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Ends when so long nothing was appended and the server's WAL end of that time is reached. */
  untilIdleMs?: number;
  adoptSlot: boolean;
}>;

export type GenerateOptions = Readonly<{
  dataDir: string;
  pipelineDir: string;
  env: Readonly<Record<string, string | undefined>>;
  /** A server of the user's own gets rows only with it. */
  demo: boolean;
  seed: number;
  /** Rows a second; without it batches at the configured interval. */
  rate?: number;
  batches?: number;
}>;

/** What a process of its own does, and what it is told on the command line. */
export type Role = CaptureRole | StreamRole | BatchRole | GeneratorRole;
export type CaptureRole = Readonly<{ role: 'capture'; adoptSlot: boolean }>;
/** No names: all processors of the pipeline. */
export type StreamRole = Readonly<{ role: 'stream'; processors: readonly string[] }>;
/** The lake's writer, its upkeep, and the models at their interval. */
export type BatchRole = Readonly<{ role: 'batch' }>;
export type GeneratorRole = Readonly<{
  role: 'generator';
  /** A server of the user's own gets tables and rows only with it. */
  demo: boolean;
  /** Rows a second; without it batches at the configured interval. */
  rate?: number;
}>;

export type RoleOptions = Readonly<{
  pipelineDir: string;
  env: Readonly<Record<string, string | undefined>>;
}>;

export type ResetOptions = Readonly<{
  dataDir: string;
  /** Drops slot and publication of this pipeline's connector on the server too. */
  source?: Readonly<{
    pipelineDir: string;
    env: Readonly<Record<string, string | undefined>>;
  }>;
}>;
