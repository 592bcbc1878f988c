import { pino, type Logger } from 'pino';
import { createStream } from 'rotating-file-stream';
import { once } from 'node:events';
import { basename } from 'node:path';
import type { LogLevel } from './config.ts';
import { logFileIn, placesIn } from './data-directory.ts';

const MAX_FILE = '10M';
const MAX_FILES = 5;
/** Wherever in a logged object they stand, down to this depth. */
const SECRETS = ['password', 'url', 'PGPASSWORD', 'POSTGRES_PASSWORD'];

/**
 * The log file of a data directory: a JSON object a line, set aside when it is long, the oldest
 * removed. Its disposal writes what is left.
 */
export function openLogger(dataDir: string, level: LogLevel): { logger: Logger } & AsyncDisposable {
  const file = createStream(
    // Given by `rotate`: null is the file in use, 1 the one before it.
    (index: Date | number | null) =>
      typeof index === 'number' ? `millrace.${index}.log` : basename(logFileIn(dataDir)),
    { path: placesIn(dataDir).logs, size: MAX_FILE, rotate: MAX_FILES },
  );
  // A full disk must not end what can still run: the failure shows where data is written.
  file.on('error', () => undefined);
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: '[secret]',
      },
    },
    file,
  );
  return {
    logger,
    async [Symbol.asyncDispose]() {
      file.end();
      await once(file, 'close');
    },
  };
}
