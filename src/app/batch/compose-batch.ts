import type { Logger } from 'pino';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import type { ConnectorConfig, ConnectorEngine } from '../../capture/connector-config.ts';
import { Lake } from '../../batch/lake/lake.ts';
import { LakeUpkeep } from '../../batch/lake/lake-upkeep.ts';
import {
  failedModels,
  isFailure,
  type RunReport,
  waitingModels,
} from '../../batch/run/run-report.ts';
import { systemClock } from '../../lib/clock.ts';
import { counted } from '../../lib/counted.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import type { Part } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { failureOf } from '../failure.ts';
import type { Environment } from '../config/environment.ts';
import { requestCopy } from '../operations/copy-request.ts';
import type { Pipeline } from '../pipeline.ts';
import { BatchRunner, type RunOutcome } from './batch-runner.ts';
import { LakePart } from './lake-part.ts';
import { OpenLineage } from './open-lineage.ts';
import { modelsDirOf, openEngine, openWarehouse } from './open.ts';
import { runModelsInTurn } from './run-models.ts';
import { serveReport } from './serve-report.ts';

/** What it finds to do depends on how much was written, not on this. */
const UPKEEP_EVERY_MS = 60_000;

export type BatchOptions = Readonly<{
  config: Pick<Config, 'source' | 'log' | 'lake' | 'batch'>;
  pipeline: Pipeline;
  pipelineDir: string;
  environment: Environment;
  connector: ConnectorConfig;
  connection: ConnectionFacts;
  engine: ConnectorEngine;
  log: EventLog;
  store: Store;
  /** Resolves once the tables are copied: before it there is nothing to work on. */
  ready: (signal: AbortSignal) => Promise<void>;
  logger: Logger;
  onChange: () => void;
}>;

/** What batch consists of in a process: the lake's writer, its upkeep, and the models at their interval. */
export type BatchParts = Readonly<{
  parts: readonly Part[];
  /** Resolves when the lake holds all that is in the log now. */
  flush: () => Promise<void>;
}>;

export function composeBatch(options: BatchOptions): BatchParts {
  const { config, pipeline, pipelineDir, connector, log, onChange } = options;
  const lake = new LakePart({
    places: config,
    log,
    connector,
    connection: options.connection,
    engine: options.engine,
    requestCopy: (topic, signal) => requestCopy(log, connector.name, topic, signal),
    isInKafka: config.log.kind === 'kafka',
    onChange,
  });
  const modelsDir = modelsDirOf(pipeline, pipelineDir);
  const { intervalMs } = config.batch;
  const runner =
    modelsDir === undefined || intervalMs === 0
      ? []
      : [
          new BatchRunner({
            intervalMs,
            clock: systemClock,
            ready: options.ready,
            onChange,
            runOnce: async (signal) => {
              await lake.flush().catch((error: unknown) => {
                signal.throwIfAborted();
                const problem = error instanceof Error ? error.message : String(error);
                options.logger.warn(
                  { part: 'batch', problem },
                  'the lake may lack the newest changes',
                );
              });
              return logged(() => runAndServe(modelsDir, options, signal), options.logger, signal);
            },
          }),
        ];
  return { parts: [lake, upkeep(options), ...runner], flush: () => lake.flush() };
}

function upkeep({ config, logger }: BatchOptions): Part {
  return {
    name: 'lake upkeep',
    async run(signal) {
      const lake = await Lake.open(config.lake.dir);
      await new LakeUpkeep({
        lake,
        openEngine: () => openEngine(config),
        clock: systemClock,
        everyMs: UPKEEP_EVERY_MS,
        retentionMs: config.lake.retentionMs,
        onStep: (step) => logger.debug({ part: 'lake upkeep', ...step }),
      }).run(signal);
    },
  };
}

/** What kept a run from being one is in the status until the next; the log keeps it. */
async function logged<T>(run: () => Promise<T>, logger: Logger, signal: AbortSignal): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!signal.aborted)
      logger.error({ part: 'batch', ...failureOf(error) }, 'no run of the models');
    throw error;
  }
}

async function runAndServe(
  modelsDir: string,
  { config, pipeline, environment, store, logger }: BatchOptions,
  signal: AbortSignal,
): Promise<RunOutcome> {
  const lake = await Lake.open(config.lake.dir);
  await using warehouse = await openWarehouse(config, environment);
  const variables = pipeline.modelVariables ?? {};
  const openLineage = OpenLineage.of({
    config,
    pipeline,
    onFailure: (why) => logger.warn({ part: 'batch' }, `OpenLineage: ${why}`),
  });
  const { report, models } = await runModelsInTurn(
    { lake, warehouse, modelsDir, variables, openLineage },
    {
      signal,
      patienceMs: config.batch.intervalMs,
      onWait: () => logger.info({ part: 'batch' }, 'waiting for another run of the models'),
    },
  );
  await using engine = await openEngine(config);
  const { problems } = await serveReport(report, models, { lake, engine, store });
  for (const problem of problems) logger.error({ part: 'batch', runId: report.runId }, problem);
  logFailures(report, logger);
  return outcomeOf(report, problems);
}

function logFailures({ runId, models, tests }: RunReport, logger: Logger): void {
  for (const made of models)
    if (made.outcome === 'waiting')
      logger.info({ part: 'batch', runId }, `${made.name} waits: ${made.for}`);
  for (const { name, file, ...made } of models)
    if (made.outcome === 'failed') {
      const { problem, line } = made;
      logger.error({ part: 'batch', runId, at: `${file}:${line ?? 1}` }, `${name}: ${problem}`);
    }
  for (const test of tests)
    if (isFailure(test)) {
      const found = test.outcome === 'failed' ? counted(test.rows, 'row') : test.outcome;
      const say = test.severity === 'warn' ? 'warn' : 'error';
      logger[say]({ part: 'batch', runId, model: test.model }, `test ${test.name}: ${found}`);
    }
}

/** `problems`: of serving. */
function outcomeOf(report: RunReport, problems: readonly string[]): RunOutcome {
  const { runId, startedAtMs, seconds, models, tests } = report;
  const failing = tests.filter(isFailure);
  const waiting = waitingModels(report);
  return {
    runId,
    startedAtMs,
    seconds,
    models: models.filter(({ outcome }) => outcome === 'done').length,
    failedModels: failedModels(report),
    ...(waiting.length > 0 && { waiting }),
    warnings: failing.filter(({ severity }) => severity === 'warn').length,
    errors: failing.filter(({ severity }) => severity === 'error').length + problems.length,
  };
}
