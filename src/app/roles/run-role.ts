import { randomInt } from 'node:crypto';
import type { Logger } from 'pino';
import type { ConnectorConfig } from '../../capture/connector-config.ts';
import { MillraceError } from '../../domain/errors.ts';
import { Bell } from '../../lib/bell.ts';
import type { EventLog } from '../../ports/event-log.ts';
import {
  composeProcessors,
  connectionOf,
  openLog,
  openStore,
  topicsOf,
  type Part,
} from '../compose.ts';
import { readConfig, type Config } from '../config/config.ts';
import { composeBatch } from '../batch/compose-batch.ts';
import { ConnectorPart } from './connector-part.ts';
import { requestCopy } from '../operations/copy-request.ts';
import { afterFirstCopy, copied, GeneratorPart } from './generator-part.ts';
import { applySchema } from '../operations/generate.ts';
import { housekeeping } from './housekeeping.ts';
import type { CaptureRole, GeneratorRole, Role, RoleOptions, StreamRole } from './launch.ts';
import {
  connectorFileOf,
  loadPipeline,
  onlyProcessors,
  readConnector,
  serverOf,
} from '../config/load-pipeline.ts';
import { openProcessLogger } from '../logging.ts';
import { engineOf } from '../open-connector.ts';
import { PartFailures } from './part-failures.ts';
import type { Pipeline } from '../pipeline.ts';
import { refuseUnready } from '../operations/source-check.ts';
import { readSinks, warnOfResting } from '../sinks.ts';
import { StatusBoard } from '../status/status-board.ts';
import { sourceProgress } from '../status/source-progress.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { type StreamTask, streamThreads } from './stream-threads.ts';
import { untilAllFail } from './until-all-fail.ts';
import { newWorkerId } from './worker-id.ts';

/** What a role works with; it is this process's own. */
type Place = Readonly<{
  config: Config;
  pipeline: Pipeline;
  options: RoleOptions;
  log: EventLog;
  logger: Logger;
  failures: PartFailures;
  stack: AsyncDisposableStack;
  /** Runs parts until `signal` aborts; throws when all of them have failed for good. */
  run(parts: readonly Part[], beside: readonly Part[], last: readonly Part[]): Promise<void>;
  worker: string;
}>;

/**
 * Runs one role as a process of its own, beside others on the same servers, until `signal` aborts.
 * It keeps nothing on this machine, and says what happens as JSON lines on standard output.
 *
 * Throws when it can't start, and when nothing of it is left that could go on.
 */
export async function runRole(
  role: Role,
  options: RoleOptions,
  signal: AbortSignal,
): Promise<void> {
  const config = readConfig(options.env);
  requireServers(role.role, config);
  const pipeline = await loadPipeline(options.pipelineDir, options.env);
  const worker = newWorkerId();
  await using stack = new AsyncDisposableStack();
  const { logger } = stack.use(openProcessLogger(config.logLevel));
  logger.info({ role: role.role, pipeline: pipeline.name, worker }, 'starting');
  const log = stack.use(await openLog(config, Bell.memory()));
  await log.createTopics(topicsOf(pipeline));
  const failures = new PartFailures(logger, () => {}, Date.now);
  const run: Place['run'] = (parts, beside, last) =>
    untilAllFail({ parts, beside, last }, failures.onState, signal);
  const place: Place = { config, pipeline, options, log, logger, failures, stack, run, worker };
  if (role.role === 'capture') await capture(role, place);
  else if (role.role === 'stream') await stream(role, place);
  else if (role.role === 'batch') await batch(place);
  else await generator(role, place);
  logger.info('stopped');
}

async function capture({ adoptSlot }: CaptureRole, place: Place): Promise<void> {
  const { config, pipeline, log, stack, worker } = place;
  const connector = connectorOf(place);
  const connection = connectionOf(connector, config.source);
  await refuseUnready(connection, connector, { waitForServer: true });
  const part = stack.use(
    new ConnectorPart({
      log,
      config: connector,
      connection,
      partitions: pipeline.partitions ?? {},
      adoptSlot,
      engine: engineOf(config),
      onChange: () => publisher.changed(),
    }),
  );
  const publisher = new StatusPublisher('capture', log, [part], worker);
  await place.run([part], [part.commands], [publisher]);
}

async function stream({ processors }: StreamRole, place: Place): Promise<void> {
  const { config, options, log, logger, stack, worker } = place;
  const pipeline = onlyProcessors(place.pipeline, processors);
  const { name } = connectorOf(place);
  warnOfResting(readSinks(pipeline, options.env), logger);
  const store = stack.use(await openStore(config));
  if (config.stream.threads > 1) {
    const threads = streamThreads(threadTask(processors, place), place.failures.onState);
    return place.run(threads, [housekeeping(log, store)], []);
  }
  const parts = composeProcessors(
    pipeline,
    { log, store },
    {
      bufferRecords: config.stream.bufferRecords,
      environment: options.env,
      onMissingHistory: async (topic, stop) => {
        logger.warn({ topic }, 'the log does not reach back: asking the connector for a copy');
        await requestCopy(log, name, topic, stop);
      },
      progress: sourceProgress(log, {
        connector: name,
        engine: engineOf(config).kind,
        clock: Date.now,
      }),
      onChange: () => publisher.changed(),
    },
  );
  const publisher = new StatusPublisher('stream', log, parts, worker);
  await place.run(parts, [housekeeping(log, store)], [publisher]);
}

async function batch(place: Place): Promise<void> {
  const { config, pipeline, options, log, logger, stack, worker } = place;
  const store = stack.use(await openStore(config));
  const statuses = new StatusBoard(log);
  await statuses.load();
  const connector = connectorOf(place);
  const { parts } = composeBatch({
    config,
    pipeline,
    pipelineDir: options.pipelineDir,
    environment: options.env,
    connector,
    connection: connectionOf(connector, config.source),
    engine: engineOf(config).kind,
    log,
    store,
    ready: (stop) => copied(statuses, stop),
    logger,
    onChange: () => publisher.changed(),
  });
  const publisher = new StatusPublisher('batch', log, parts, worker);
  const following: Part = { name: 'statuses', run: (stop) => statuses.run(stop) };
  await place.run(parts, [following], [publisher]);
}

function threadTask(processors: readonly string[], { config, options, worker }: Place): StreamTask {
  return {
    pipelineDir: options.pipelineDir,
    places: config,
    stream: config.stream,
    processors,
    endsWhenAllFail: true,
    wake: Bell.memory(),
    environment: options.env,
    server: serverOf(config.source),
    source: config.source,
    adoptSlot: false,
    engine: engineOf(config),
    worker,
  };
}

async function generator({ demo, rate }: GeneratorRole, place: Place): Promise<void> {
  const { config, pipeline, options, log, logger, worker } = place;
  if (pipeline.generate === undefined)
    throw new MillraceError('usage', {
      expected: 'a pipeline with a generator (`generate` in pipeline.ts)',
      found: pipeline.name,
    });
  const server = serverOf(config.source);
  if (!demo)
    throw new MillraceError('usage', {
      expected: '--demo, to insert rows into a server of your own',
      found: `POSTGRES_HOST ${server.host}`,
    });
  await applySchema(pipeline, options.pipelineDir, server);
  const statuses = new StatusBoard(log);
  await statuses.load();
  const rows = new GeneratorPart(pipeline.generate, server, {
    ...config.generator,
    seed: randomInt(2 ** 31),
    ...(rate !== undefined && { rate }),
  });
  logger.info('rows are inserted once the connector has copied the tables');
  const following: Part = { name: 'statuses', run: (stop) => statuses.run(stop) };
  await place.run(
    [afterFirstCopy(rows, statuses)],
    [following],
    [new StatusPublisher('generator', log, [rows], worker)],
  );
}

function connectorOf({ config, pipeline, options }: Place): ConnectorConfig {
  const file = connectorFileOf(pipeline, options.pipelineDir);
  return readConnector(file, options.env, serverOf(config.source), config.connector.kind);
}

/** Other processes can't read what is embedded in this one. */
function requireServers(role: Role['role'], { source, log, store, lake }: Config): void {
  const missing = [
    source.kind === 'embedded' && role !== 'stream' && ['POSTGRES_HOST', 'the source'],
    log.kind === 'embedded' && ['KAFKA_BROKER', 'the event log'],
    store.kind === 'embedded' &&
      (role === 'stream' || role === 'batch') && ['REDIS_HOST', 'the store'],
    role === 'batch' && !lake.isNamed && ['MILLRACE_LAKE', 'the lake'],
  ].filter((each) => each !== false);
  if (missing.length === 0) return;
  throw new MillraceError('config_invalid', {
    problems: missing.map(
      ([name, what]) =>
        `${name}: not set, expected ${name === 'MILLRACE_LAKE' ? 'the folder of' : 'a server for'} ${what}, which \`run ${role}\` shares with other processes`,
    ),
  });
}
