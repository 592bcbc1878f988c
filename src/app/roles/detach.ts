import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { readConfig } from '../config/config.ts';
import { placesIn, prepareDataDirectory } from '../config/data-directory.ts';
import { errorOf, type Failure } from '../failure.ts';
import type { UpEvent, UpOptions } from './launch.ts';

/** What a detached process tells the one that started it, as long as that one listens. */
export type DetachedNews =
  | Readonly<{ news: 'event'; event: UpEvent }>
  | Readonly<{ news: 'failed'; failure: Failure }>;

/**
 * Starts this program again, by itself, in the background, and returns once capture has begun to
 * work there; its output goes to `up.log` in the data directory. Throws what kept it from starting.
 */
export async function runDetached(
  options: UpOptions,
  onEvent: (event: UpEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir } = readConfig(options.env, { dataDir: options.dataDir });
  prepareDataDirectory(dataDir);
  const logFile = join(placesIn(dataDir).logs, 'up.log');
  const output = openSync(logFile, 'a', 0o600);
  const program = must(process.argv[1], 'a program runs');
  const child = spawn(process.execPath, [...process.execArgv, program, ...argumentsOf(options)], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...options.env },
  });
  try {
    await untilWorking(child, logFile, onEvent, signal);
  } catch (error) {
    child.kill('SIGTERM');
    throw error;
  } finally {
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** Tells the process that waits for this one to come up, if there is one. */
export function tellStarter(news: DetachedNews): void {
  // Without a callback, a failure to send would be an event; who went away needs no news.
  if (process.connected) process.send?.(news, undefined, undefined, () => undefined);
}

function argumentsOf({ dataDir, pipelineDir, demo, generate, adoptSlot }: UpOptions): string[] {
  return [
    'up',
    '--data-dir',
    dataDir,
    '--pipeline',
    pipelineDir,
    ...(demo ? ['--demo'] : []),
    ...(generate ? [] : ['--no-generator']),
    ...(adoptSlot ? ['--adopt-slot'] : []),
  ];
}

async function untilWorking(
  child: ChildProcess,
  logFile: string,
  onEvent: (event: UpEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const working = Promise.withResolvers<void>();
  let ready: UpEvent | undefined;
  child.on('message', (message: DetachedNews) => {
    if (message.news === 'failed') return working.reject(errorOf(message.failure));
    const { event } = message;
    if (event.kind === 'failure' && event.part === 'connector') {
      const { part, message: said } = event;
      return working.reject(new MillraceError('detached_failed', { part, said }));
    }
    if (event.kind === 'ready') ready = event;
    else if (event.kind !== 'tick') onEvent(event);
    const state = event.kind === 'tick' ? event.connector?.state : undefined;
    if (ready !== undefined && state !== undefined && state !== 'starting') {
      onEvent(ready);
      working.resolve();
    }
  });
  child.on('exit', (exitCode) =>
    working.reject(new MillraceError('detached_failed', { exitCode, output: logFile })),
  );
  signal.addEventListener('abort', () => working.reject(signal.reason), { once: true });
  child.on('error', working.reject);
  await once(child, 'spawn');
  await working.promise;
}
