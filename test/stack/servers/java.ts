import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ServerCommand } from './server-process.ts';

const run = promisify(execFile);
const LOGGING = join(import.meta.dirname, '../../../deploy/kafka/log4j2.xml');
/** For a start in half the time; these servers never run for long enough to miss the rest. */
const QUICK = ['-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'];

/** How a main class of the jars is started, with the logging of `deploy/`; `jvm` in place of a quick start. */
export function java(
  jars: string,
  mainClass: string,
  args: readonly string[],
  jvm: readonly string[] = QUICK,
): Pick<ServerCommand, 'program' | 'args' | 'missing'> {
  return {
    program: 'java',
    args: [
      ...jvm,
      `-Dlog4j2.configurationFile=${LOGGING}`,
      '-cp',
      join(jars, '*'),
      mainClass,
      ...args,
    ],
    missing: 'default-jre-headless',
  };
}

/** Runs a command-line tool of the jars to its end, and gives what it printed. */
export async function runJava(
  jars: string,
  mainClass: string,
  args: readonly string[],
): Promise<string> {
  const command = java(jars, mainClass, args);
  try {
    return (await run(command.program, command.args)).stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`java is missing: apt-get install ${command.missing}`, { cause: error });
  }
}
