import type { PostgresSource } from '../adapters/postgres/source.ts';
import type { EventLog } from '../ports/event-log.ts';
import type { Store } from '../ports/store.ts';
import type { CommandSender } from './command-sender.ts';
import type { SourceAddress, StatusReport } from './operations.ts';
import type { Pipeline } from './pipeline.ts';
import type { StatusBoard } from './status-board.ts';

/** What an operation works with: the files, and the running parts where there are any. */
export type OperationContext = Readonly<{
  dataDir: string;
  log: EventLog;
  store: Store;
  statuses: StatusBoard;
  clock: () => number;
  /** Undefined: nothing runs; this process has opened the files only to answer. */
  running: RunningParts | undefined;
}>;

export type RunningParts = Readonly<{
  pid: number;
  startedAtMs: number;
  pipeline: Pipeline;
  /** The connector's name. */
  connector: string;
  source: SourceAddress;
  openSource(): Promise<PostgresSource>;
  commands: CommandSender;
  rates(): NonNullable<StatusReport['rates']>;
  failures(): StatusReport['failures'];
  /** Why a part, by its name, is waiting to be tried again. */
  waitingFor(part: string): string | undefined;
  /** Begins the stop; returns at once. */
  stop(): void;
}>;
