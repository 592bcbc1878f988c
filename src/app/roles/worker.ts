import { parentPort, workerData } from 'node:worker_threads';
import { useGate } from '../../adapters/lmdb/transaction-gate.ts';
import type { Supervised } from '../../lib/supervise.ts';
import { must } from '../../lib/must.ts';
import { composeProcessors, connectionOf, openLog, openStore } from '../compose.ts';
import { ConnectorPart } from './connector-part.ts';
import { requestCopy } from '../operations/copy-request.ts';
import { failureOf } from '../failure.ts';
import {
  connectorFileOf,
  loadPipeline,
  onlyProcessors,
  readConnector,
} from '../config/load-pipeline.ts';
import { runParts } from './run-parts.ts';
import { untilAllFail } from './until-all-fail.ts';
import { sourceProgress } from '../status/source-progress.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import {
  partStateOf,
  type PartState,
  type WorkerMessage,
  type WorkerTask,
} from './worker-messages.ts';

/** What tasks put out shares its flush with what others of the thread do. */
const LINGER_MS = 10;

/*
 * The entry of a worker thread: runs one role until it is told to stop, then ends by itself. The
 * log and the store are this thread's own objects on the process's files.
 */
const port = must(parentPort, 'this file is started as a worker');
const stopping = new AbortController();
port.once('message', () => stopping.abort());
try {
  await runRole(workerData as WorkerTask, stopping.signal);
} catch (error) {
  tell({ kind: 'failed', failure: failureOf(error) });
} finally {
  port.close();
}

async function runRole(task: WorkerTask, signal: AbortSignal): Promise<void> {
  useGate(task.gate);
  const pipeline = await loadPipeline(task.pipelineDir, task.environment);
  await using log = await openLog(task.places, task.wake, {
    ...(task.share !== undefined && { share: task.share }),
    // Capture's thread waits for its append anyway; tasks have others to work on, and their results are in the store.
    ...(task.role === 'stream' && { lingerMs: LINGER_MS }),
  });
  const onPart = (part: string, state: PartState): void => tell({ kind: 'part', part, state });
  const onState = (part: string, state: Supervised): void => onPart(part, partStateOf(state));
  const file = connectorFileOf(pipeline, task.pipelineDir);
  const config = readConnector(file, task.environment, task.server, task.engine.kind);
  if (task.role === 'stream') {
    await using store = await openStore(task.places);
    const parts = composeProcessors(
      onlyProcessors(pipeline, task.processors),
      { log, store },
      {
        bufferRecords: task.stream.bufferRecords,
        environment: task.environment,
        onMissingHistory: (topic, stop) => requestCopy(log, config.name, topic, stop),
        progress: sourceProgress(log, {
          connector: config.name,
          engine: task.engine.kind,
          clock: Date.now,
        }),
        onChange: () => publisher.changed(),
      },
    );
    const publisher = new StatusPublisher(task.role, log, parts, task.worker);
    const last = [publisher];
    if (task.endsWhenAllFail) await untilAllFail({ parts, beside: [], last }, onPart, signal);
    else await runParts(parts, last, onState, signal);
  } else {
    await using connector = new ConnectorPart({
      log,
      config,
      connection: connectionOf(config, task.source),
      partitions: pipeline.partitions ?? {},
      adoptSlot: task.adoptSlot,
      engine: task.engine,
      onChange: () => publisher.changed(),
    });
    const publisher = new StatusPublisher(task.role, log, [connector], task.worker);
    await runParts([connector, connector.commands], [publisher], onState, signal);
  }
}

function tell(message: WorkerMessage): void {
  port.postMessage(message);
}
