import { randomInt } from 'node:crypto';
import { PostgresSource } from '../../adapters/postgres/source.ts';
import { Bell } from '../../lib/bell.ts';
import { untilAborted } from '../../lib/until-aborted.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { composeBatch } from '../batch/compose-batch.ts';
import { answerOperation } from '../operations/answer.ts';
import { CommandSender } from '../operations/command-sender.ts';
import { connectionOf, openLog, openStore, topicsOf, type Part } from '../compose.ts';
import { readConfig, type Config } from '../config/config.ts';
import { serveControlSocket } from '../operations/control-socket.ts';
import { DataDirectory } from '../config/data-directory.ts';
import { tellStarter } from './detach.ts';
import { EmbeddedServer } from './embedded-server.ts';
import { failureOf } from '../failure.ts';
import { applySchema } from '../operations/generate.ts';
import { afterFirstCopy, copied, GeneratorPart } from './generator-part.ts';
import { housekeeping } from './housekeeping.ts';
import type { UpEvent, UpOptions } from './launch.ts';
import { connectorFileOf, loadPipeline, readConnector, serverOf } from '../config/load-pipeline.ts';
import { openLogger } from '../logging.ts';
import { engineOf } from '../open-connector.ts';
import { PartFailures } from './part-failures.ts';
import { RateMeter } from '../status/rate-meter.ts';
import { serversOf } from '../operations/remote-context.ts';
import { runParts } from './run-parts.ts';
import { runWorker } from './run-worker.ts';
import { addressOf } from '../operations/source-address.ts';
import { refuseUnready } from '../operations/source-check.ts';
import { readSinks, warnOfResting } from '../sinks.ts';
import { StatusBoard } from '../status/status-board.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { newWorkerId } from './worker-id.ts';
import { inThreads, type StreamTask, streamThreads } from './stream-threads.ts';
import { partStateOf } from './worker-messages.ts';

const TICK_MS = 1000;

/**
 * Runs everything in this process until `signal` aborts or an operator stops it: PostgreSQL
 * (embedded or the user's), capture and processors in threads of their own (of the
 * processors as many as are configured), log, store, socket.
 *
 * Rejects when it cannot start. Once it is up, a part that fails is shown and started again
 * where that helps, and the others go on. The end is in order: who writes first, the server last.
 */
export async function runUp(
  options: UpOptions,
  onEvent: (event: UpEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await up(
      options,
      (event) => {
        tellStarter({ news: 'event', event });
        onEvent(event);
      },
      signal,
    );
  } catch (error) {
    tellStarter({ news: 'failed', failure: failureOf(error) });
    throw error;
  }
}

async function up(
  options: UpOptions,
  onEvent: (event: UpEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const startedAtMs = Date.now();
  const config = readConfig(options.env, { dataDir: options.dataDir });
  const { dataDir } = config;
  const pipeline = await loadPipeline(options.pipelineDir, options.env);
  const connectorFile = connectorFileOf(pipeline, options.pipelineDir);
  // A faulty file ends the start before anything is created.
  readConnector(connectorFile, options.env, serverOf(config.source), config.connector.kind);
  const sinks = readSinks(pipeline, options.env);

  await using stack = new AsyncDisposableStack();
  stack.use(await DataDirectory.open(dataDir, 'up'));
  const { logger } = stack.use(openLogger(dataDir, config.logLevel));
  logger.info({ pid: process.pid, pipeline: pipeline.name }, 'starting');
  warnOfResting(sinks, logger);
  const wake = Bell.memory();
  const { embedded, log, store } = await openParts(stack, config, wake, onEvent, signal);
  await log.createTopics(topicsOf(pipeline));
  const server = embedded?.connection ?? serverOf(config.source);
  const connector = readConnector(connectorFile, options.env, server, config.connector.kind);
  const connection = connectionOf(connector, config.source);
  const isDemo = embedded !== undefined || options.demo;
  // The check wants tables, which a demonstration brings with it.
  if (isDemo) await applySchema(pipeline, options.pipelineDir, server);
  if (embedded === undefined)
    await refuseUnready(connection, connector, { waitForServer: !isDemo });
  signal.throwIfAborted();

  const failures = new PartFailures(logger, onEvent, Date.now);
  const stopping = new AbortController();
  const background = (parts: readonly Part[], last: readonly Part[] = []): void => {
    const stop = new AbortController();
    const ended = runParts(
      parts,
      last,
      (part, state) => failures.onState(part, partStateOf(state)),
      stop.signal,
    );
    stack.defer(async () => {
      stop.abort();
      await ended;
    });
  };
  const statuses = new StatusBoard(log);
  await statuses.skip();
  const rates = new RateMeter();
  if (embedded !== undefined) background([embedded]);
  background([
    { name: 'statuses', run: (stop) => statuses.run(stop) },
    housekeeping(log, store),
    ticker(statuses, rates, failures, onEvent),
  ]);
  // In Kafka, others may run the same parts.
  const worker = config.log.kind === 'kafka' ? newWorkerId() : undefined;
  const task: StreamTask = {
    pipelineDir: options.pipelineDir,
    places: config,
    stream: config.stream,
    processors: [],
    endsWhenAllFail: false,
    wake,
    environment: options.env,
    server,
    source: config.source,
    adoptSlot: options.adoptSlot,
    engine: engineOf(config),
    worker,
  };
  onEvent({ kind: 'starting', part: 'stream' });
  background(streamThreads(task, failures.onState));
  onEvent({ kind: 'starting', part: 'capture' });
  const capture = { ...task, role: 'capture', share: { index: 0, of: 1 } } as const;
  background([{ name: 'capture', run: (stop) => runWorker(capture, failures.onState, stop) }]);
  const batch = composeBatch({
    config,
    pipeline,
    pipelineDir: options.pipelineDir,
    environment: options.env,
    connector,
    connection,
    engine: config.connector.kind,
    log,
    store,
    ready: (stop) => copied(statuses, stop),
    logger,
    onChange: () => batchStatus.changed(),
  });
  const batchStatus = new StatusPublisher('batch', log, batch.parts, worker);
  background(batch.parts, [batchStatus]);
  const { generate } = pipeline;
  if (generate !== undefined && isDemo && options.generate) {
    const seed = randomInt(2 ** 31);
    const generator = new GeneratorPart(generate, server, { ...config.generator, seed });
    const waiting = afterFirstCopy(generator, statuses);
    background([waiting], [new StatusPublisher('generator', log, [generator], worker)]);
  }
  const source = addressOf(connection, embedded === undefined ? 'server' : 'embedded');
  const context = {
    dataDir,
    log,
    store,
    statuses,
    clock: Date.now,
    servers: serversOf(config),
    running: {
      process: { pid: process.pid, startedAtMs, stop: () => stopping.abort() },
      pipeline,
      connector,
      engine: config.connector.kind,
      source,
      openSource: () => PostgresSource.open(connection),
      commands: new CommandSender(log, Date.now, worker && `operator ${worker}`),
      rates: () => ratesNow(statuses, rates),
      failures: () => failures.list(),
      flushLake: batch.flush,
      waitingFor: (part: string) =>
        [part, ...inThreads(part, config.stream.threads)]
          .map((each) => failures.waitingFor(each))
          .find((problem) => problem !== undefined),
    },
  };
  stack.use(
    await serveControlSocket(dataDir, (name, args, gone) =>
      answerOperation(name, args, context, gone),
    ),
  );
  const tookMs = Date.now() - startedAtMs;
  logger.info({ tookMs }, 'ready');
  onEvent({ kind: 'ready', urls: { postgres: source.url }, tookMs });
  await untilAborted(AbortSignal.any([signal, stopping.signal]));
  logger.info('stopping');
  onEvent({ kind: 'stopping' });
}

/** Server, log and store at once; they take the time of the slowest. */
async function openParts(
  stack: AsyncDisposableStack,
  config: Config,
  wake: SharedArrayBuffer,
  onEvent: (event: UpEvent) => void,
  signal: AbortSignal,
): Promise<{ embedded: EmbeddedServer | undefined; log: EventLog; store: Store }> {
  const { dataDir, source } = config;
  if (source.kind === 'embedded') onEvent({ kind: 'starting', part: 'PostgreSQL' });
  const results = await Promise.allSettled([
    source.kind === 'embedded'
      ? EmbeddedServer.start(dataDir, source, signal)
      : Promise.resolve(undefined),
    openLog(config, wake),
    openStore(config),
  ] as const);
  for (const result of results)
    if (result.status === 'fulfilled' && result.value !== undefined) stack.use(result.value);
  const [embedded, log, store] = results;
  if (embedded.status === 'rejected') throw embedded.reason;
  if (log.status === 'rejected') throw log.reason;
  if (store.status === 'rejected') throw store.reason;
  return { embedded: embedded.value, log: log.value, store: store.value };
}

function ticker(
  statuses: StatusBoard,
  rates: RateMeter,
  failures: PartFailures,
  onEvent: (event: UpEvent) => void,
): Part {
  return {
    name: 'ticker',
    async run(signal) {
      for (;;) {
        const state = statuses.connector?.state;
        const pause = AbortSignal.any([signal, AbortSignal.timeout(TICK_MS)]);
        // The end of the pause is the usual case, and no failure.
        await statuses
          .until(() => (statuses.connector?.state === state ? undefined : true), pause)
          .catch(() => undefined);
        if (signal.aborted) return;
        const { connector, processors, generator } = statuses;
        // By this clock and not the statuses' times: idle parts write none, and their rate is 0.
        const nowMs = Date.now();
        if (connector !== undefined) rates.sample('', nowMs, connector.changes);
        for (const { name, records } of processors) rates.sample(name, nowMs, records);
        failures.check(connector);
        onEvent({
          kind: 'tick',
          processors,
          ...ratesNow(statuses, rates),
          ...(connector === undefined ? {} : { connector }),
          ...(generator === undefined ? {} : { generator }),
        });
      }
    },
  };
}

/** The connector's rate has no name, as processors may have any. */
function ratesNow({ processors }: StatusBoard, rates: RateMeter) {
  return {
    capturedPerSecond: rates.perSecond(''),
    processedPerSecond: Object.fromEntries(
      processors.map(({ name }) => [name, rates.perSecond(name)]),
    ),
  };
}
