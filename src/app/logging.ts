import { basename } from 'node:path';
import { finished } from 'node:stream/promises';
import { pino, type DestinationStream, type Logger } from 'pino';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import type { LogLevel } from './config/config.ts';
import { logFileIn, placesIn } from './config/data-directory.ts';

const MAX_FILE = '10M';
const MAX_FILES = 5;
/** Wherever in a logged object they stand, down to this depth. */
const SECRETS = ['password', 'url', 'PGPASSWORD', 'POSTGRES_PASSWORD'];

/**
 * The log file of a data directory: a JSON object a line, set aside when it is long, the oldest
 * removed. Its disposal writes what is left.
 */
export function openLogger(dataDir: string, level: LogLevel): { logger: Logger } & AsyncDisposable {
  const file = new LogFile(dataDir);
  return { logger: newLogger(level, file), [Symbol.asyncDispose]: () => file.end() };
}

/** The same lines on standard output, for whoever runs the process to keep. */
export function openProcessLogger(level: LogLevel): { logger: Logger } & Disposable {
  const out = pino.destination({ fd: process.stdout.fd, sync: true });
  return { logger: newLogger(level, out), [Symbol.dispose]: () => out.flushSync() };
}

function newLogger(level: LogLevel, to: DestinationStream): Logger {
  return pino(
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
    to,
  );
}

/** Takes lines whatever becomes of them: a full disk must not end what can still run. */
class LogFile {
  readonly #open: () => RotatingFileStream;
  #stream: RotatingFileStream;

  constructor(dataDir: string) {
    this.#open = () => {
      const stream = createStream(
        // Given by `rotate`: null is the file in use, 1 the one before it.
        (index: Date | number | null) =>
          typeof index === 'number' ? `millrace.${index}.log` : basename(logFileIn(dataDir)),
        { path: placesIn(dataDir).logs, size: MAX_FILE, rotate: MAX_FILES },
      );
      // The failure shows where data is written.
      return stream.on('error', () => undefined);
    };
    this.#stream = this.#open();
  }

  /** A stream that has failed takes nothing any more, so the next line opens the file again. */
  write(line: string): void {
    if (this.#stream.destroyed) this.#stream = this.#open();
    this.#stream.write(line);
  }

  async end(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream).catch(() => undefined); // Lines that found no room are lost.
  }
}
