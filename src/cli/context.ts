import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { BatchPlaces } from '../app/batch/open.ts';
import { readConfig } from '../app/config/config.ts';
import type { Environment } from '../app/config/environment.ts';
import type { OperationPlace } from '../app/operations/remote-context.ts';
import { MillraceError } from '../domain/errors.ts';
import type { Terminal } from './terminal.ts';

/** What every command is given. */
export type Context = Readonly<{
  terminal: Terminal;
  /** The process's environment over the folder's .env. */
  environment: () => Environment;
  cwd: string;
  /** Aborts on Ctrl-C, SIGTERM, and when nobody reads standard output any more. */
  signal: AbortSignal;
  /** The command has no end of its own: ended by a signal it has done its work, and exits with 0. */
  runsUntilTold: () => void;
  /** From now on Ctrl-C is meant for a child that has the terminal. */
  leaveInterruptsToChild: () => void;
  /** Ends the process with 1: the command did its work and found a difference or a failure. */
  foundFailure: () => void;
}>;

/** The place a command works on: options of the whole command line. */
export type PlaceOptions = Readonly<{ dataDir?: string; pipeline?: string }>;

export function dataDirOf(context: Context, command: Command): string {
  const { dataDir } = command.optsWithGlobals<PlaceOptions>();
  return readConfig(context.environment(), dataDir === undefined ? {} : { dataDir }).dataDir;
}

/** Where the lake lies, and with what it is read. */
export function batchPlacesOf(context: Context, command: Command): BatchPlaces {
  return readConfig(context.environment(), { dataDir: dataDirOf(context, command) });
}

/** Where operations find what they ask. */
export function placeOf(context: Context, command: Command): OperationPlace {
  return {
    dataDir: dataDirOf(context, command),
    elsewhere: {
      env: context.environment(),
      pipelineDir: () => pipelineDirOf(context, command),
    },
  };
}

const PIPELINE_FILES: readonly string[] = ['pipeline.ts', 'pipeline.js'];

/**
 * The folder given; else the current folder when it holds a pipeline, else the shop that comes with
 * Millrace. What makes a folder one of a pipeline is any of `files`.
 */
export function pipelineDirOf(
  context: Context,
  command: Command,
  files: readonly string[] = PIPELINE_FILES,
): string {
  const { pipeline } = command.optsWithGlobals<PlaceOptions>();
  const shop = join(dirname(fileURLToPath(import.meta.url)), '../../pipelines/shop');
  const candidates =
    pipeline === undefined ? [context.cwd, shop] : [resolve(context.cwd, pipeline)];
  const found = candidates.find((folder) => files.some((file) => existsSync(join(folder, file))));
  if (found === undefined) {
    throw new MillraceError('pipeline_invalid', {
      expected: files[0],
      found: `no such file in ${candidates.join(' or ')}`,
    });
  }
  return found;
}
