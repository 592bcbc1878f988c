import type { PostgresSource } from '../../adapters/postgres/source.ts';
import type { ConnectorConfig } from '../../capture/connector-config.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { Status } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import type { CommandSender } from './command-sender.ts';
import type { Config } from '../config/config.ts';
import type { SourceAddress, StatusReport } from './operations.ts';
import type { Pipeline } from '../pipeline.ts';
import type { StatusBoard } from '../status/status-board.ts';

/** What an operation works with: log and store, and the running parts where there are any. */
export type OperationContext = Readonly<{
  dataDir: string;
  log: EventLog;
  /** Undefined where the configuration names no store: capture into Kafka needs none. */
  store: Store | undefined;
  statuses: StatusBoard;
  clock: () => number;
  /** Undefined: nothing runs, or the operation does not ask; this process is there only to answer. */
  running: RunningParts | undefined;
  /** Where log and store are, when they are servers. */
  servers?: Readonly<{ kafka?: string; redis?: string }>;
}>;

export type RunningParts = Readonly<{
  /** The process that runs them all; undefined where they run in several. */
  process?: Readonly<{
    pid: number;
    startedAtMs: number;
    /** Begins the stop; returns at once. */
    stop(): void;
  }>;
  pipeline: Pipeline;
  connector: ConnectorConfig;
  /** Which connector does it. */
  engine: Config['connector']['kind'];
  source: SourceAddress;
  openSource(): Promise<PostgresSource>;
  commands: CommandSender;
  rates(): NonNullable<StatusReport['rates']>;
  failures(): StatusReport['failures'];
  /** Resolves when the lake holds all that is in the log; absent where another process writes it. */
  flushLake?(): Promise<void>;
  /** Why a part, by its name, is waiting to be tried again. */
  waitingFor(part: string): string | undefined;
}>;

export function runningIn({ running, dataDir }: OperationContext): RunningParts {
  if (running === undefined) throw new MillraceError('not_running', { dir: dataDir });
  return running;
}

export function storeIn({ store }: OperationContext): Store {
  if (store !== undefined) return store;
  throw new MillraceError('config_invalid', {
    problems: ['REDIS_HOST: not set, expected the server of the store, as the log is in Kafka'],
  });
}

/** Where parts run elsewhere, nobody may be there to obey; throws `not_running` then. */
export function refuseAbsent(
  { running, statuses }: OperationContext,
  component: Status['component'],
): void {
  const isElsewhere = running !== undefined && running.process === undefined;
  if (!isElsewhere || statuses.workers.some((worker) => worker.component === component)) return;
  const role = component === 'connector' ? 'capture' : 'stream';
  const told = [statuses.connector, ...statuses.processors].find(
    (status) => status?.component === component,
  );
  throw new MillraceError('not_running', {
    expected: `a process that runs it: \`millrace run ${role}\``,
    found: told?.problem ?? `none of ${component}`,
  });
}
