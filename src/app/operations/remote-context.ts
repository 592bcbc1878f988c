import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PostgresSource } from '../../adapters/postgres/source.ts';
import { MillraceError } from '../../domain/errors.ts';
import { Bell } from '../../lib/bell.ts';
import type { Store } from '../../ports/store.ts';
import { CommandSender } from './command-sender.ts';
import { connectionOf, openLog, openStore } from '../compose.ts';
import { type Config, readConfig } from '../config/config.ts';
import { DataDirectory, FORMAT_FILE } from '../config/data-directory.ts';
import type { Environment } from '../config/environment.ts';
import { connectorFileOf, loadPipeline, readConnector } from '../config/load-pipeline.ts';
import type { OperationContext, RunningParts } from './operation-context.ts';
import type { OperationName } from './operations.ts';
import { addressOf } from './source-address.ts';
import { StatusBoard } from '../status/status-board.ts';
import { STATUS } from '../topics.ts';

/** Where an operation finds its Millrace. */
export type OperationPlace = Readonly<{
  dataDir: string;
  /** What is known of parts that may run elsewhere; without it, log and store are the embedded ones. */
  elsewhere?: Readonly<{
    /** Names the servers that hold log and store, if any do. */
    env: Environment;
    /** The folder of pipeline.ts; asked for only where no running process knows the pipeline. */
    pipelineDir: () => string;
  }>;
}>;

/** Those that speak with running parts; what they need of the pipeline, only its folder tells. */
const NEEDS_PARTS: Readonly<Record<OperationName, boolean>> = {
  status: false,
  topics: false,
  consume: false,
  'store.get': false,
  'store.keys': false,
  'store.scan': false,
  'dlq.list': false,
  'dlq.show': false,
  'dlq.replay': true,
  'dlq.drop': true,
  query: true,
  replay: true,
  'lake.flush': false,
  'models.serve': false,
  reconcile: true,
  'connector.status': false,
  'connector.pause': true,
  'connector.resume': true,
  'connector.restart': true,
  'connector.copy': true,
  source: false,
  // Who would be stopped? Each process is stopped where it was started.
  stop: false,
};

/**
 * Answers where no process has it all: log and store are opened here; parts that run elsewhere are
 * spoken to by topics. With an embedded log nothing can run elsewhere, as its directory has one holder.
 */
export class RemoteContext implements AsyncDisposable {
  readonly operations: OperationContext;
  /** Aborts, with the reason, when the statuses cannot be followed any more. */
  readonly failed: AbortSignal;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    operations: OperationContext,
    failed: AbortSignal,
    stack: AsyncDisposableStack,
  ) {
    this.operations = operations;
    this.failed = failed;
    this.#stack = stack;
  }

  static async open(place: OperationPlace, name: OperationName): Promise<RemoteContext> {
    const { dataDir, elsewhere } = place;
    const config = readConfig(elsewhere?.env ?? {}, { dataDir });
    await using stack = new AsyncDisposableStack();
    await holdFiles(config, name, stack);
    const log = stack.use(await openLog(config, Bell.memory()));
    const store = await storeOf(config, stack);
    const statuses = new StatusBoard(log);
    await statuses.load();
    const operations: OperationContext = {
      dataDir,
      log,
      store,
      statuses,
      clock: Date.now,
      running: undefined,
      servers: serversOf(config),
    };
    if (elsewhere === undefined || config.log.kind === 'embedded' || !NEEDS_PARTS[name])
      return new RemoteContext(operations, new AbortController().signal, stack.move());
    if (!(await log.topics()).some((topic) => topic.name === STATUS))
      throw new MillraceError('not_running', {
        found: `no topic ${STATUS}: nothing ever ran there`,
      });
    const failed = follow(statuses, stack);
    const running = await partsElsewhere(elsewhere, config, operations);
    return new RemoteContext({ ...operations, running }, failed, stack.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Takes the data directory where it holds the log, or the store of a log in Kafka. */
async function holdFiles(
  { dataDir, log, store }: Config,
  name: OperationName,
  stack: AsyncDisposableStack,
): Promise<void> {
  // To look is no reason to create: a mistyped --data-dir shows as what it is.
  const exists = existsSync(join(dataDir, FORMAT_FILE));
  if (log.kind === 'embedded' && !exists)
    throw new MillraceError('not_running', { dir: dataDir, found: 'no data there' });
  const isNeeded = log.kind === 'embedded' || store.kind === 'embedded';
  if (isNeeded && exists) stack.use(await DataDirectory.open(dataDir, name));
}

async function storeOf(config: Config, stack: AsyncDisposableStack): Promise<Store | undefined> {
  const isOpenable = config.store.kind === 'redis' || existsSync(join(config.dataDir, FORMAT_FILE));
  return isOpenable ? stack.use(await openStore(config)) : undefined;
}

/** For the operation's life. */
function follow(statuses: StatusBoard, stack: AsyncDisposableStack): AbortSignal {
  const stop = new AbortController();
  const failed = new AbortController();
  const following = statuses.run(stop.signal).catch((error: unknown) => failed.abort(error));
  stack.defer(async () => {
    stop.abort();
    await following;
  });
  return failed.signal;
}

async function partsElsewhere(
  { env, pipelineDir }: NonNullable<OperationPlace['elsewhere']>,
  config: Config,
  { log, statuses, clock }: OperationContext,
): Promise<RunningParts> {
  const dir = pipelineDir();
  const pipeline = await loadPipeline(dir, env);
  const server = config.source.kind === 'server' ? config.source.server : undefined;
  const connector = readConnector(
    connectorFileOf(pipeline, dir),
    env,
    server,
    config.connector.kind,
  );
  const connection = connectionOf(connector, config.source);
  return {
    pipeline,
    connector,
    engine: config.connector.kind,
    source: addressOf(connection, 'server'),
    openSource: () => PostgresSource.open(connection),
    // Several operators at once must not fence each other.
    commands: new CommandSender(log, clock, `operator ${randomUUID()}`),
    rates: () => statuses.rates(),
    failures: () => [],
    waitingFor: () => undefined,
  };
}

/** Where log and store are, when they are servers. */
export function serversOf({
  log,
  store,
}: Pick<Config, 'log' | 'store'>): NonNullable<OperationContext['servers']> {
  return {
    ...(log.kind === 'kafka' && { kafka: log.brokers.join(',') }),
    ...(store.kind === 'redis' && { redis: `${store.host}:${store.port}` }),
  };
}
