import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';
import type { Account } from './embedded-account.ts';
import { SERVER_ENVIRONMENT } from './embedded-binaries.ts';
import { namingFailures } from './embedded-cluster-file.ts';
import { endInOrder, findServer } from './embedded-processes.ts';

export type PostmasterOptions = Readonly<{
  postgres: string;
  data: string;
  port: number;
  /** Absent: TCP only. */
  socketFolder?: string;
  account: Account | undefined;
  settings?: Readonly<Record<string, string>>;
  logFile: string;
}>;

/** How a postmaster ended, and the last lines that it logged. */
export type PostmasterEnd = Readonly<{
  code: number | null;
  signal: string | null;
  lastWords: readonly string[];
}>;

const POLL_MS = 10;
const MAX_LOG_BYTES = 10 * 1024 * 1024;
const LAST_WORDS = 8;

/**
 * The server's first process, in a process group of its own: Ctrl-C in a terminal reaches it
 * through us alone, after those who still write to the server have ended.
 */
export class Postmaster {
  readonly pid: number;
  /** Settles when the process has ended, asked or not. */
  readonly ended: Promise<PostmasterEnd>;
  #hasEnded = false;

  private constructor(pid: number, child: ChildProcess, lastWords: () => Promise<string[]>) {
    this.pid = pid;
    this.ended = (async () => {
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
      this.#hasEnded = true;
      return { code, signal, lastWords: await lastWords() };
    })();
  }

  /** Returns when the server accepts connections; recovery after a crash may come before that. */
  static async start(options: PostmasterOptions, signal: AbortSignal): Promise<Postmaster> {
    signal.throwIfAborted();
    const { log, start } = await openLog(options.logFile);
    try {
      const child = spawn(options.postgres, serverArguments(options), {
        cwd: options.data,
        env: SERVER_ENVIRONMENT,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        ...options.account,
      });
      if (child.pid === undefined) throw (await once(child, 'error'))[0];
      const postmaster = new Postmaster(child.pid, child, () => linesFrom(options.logFile, start));
      await postmaster.#waitUntilReady(options, signal);
      return postmaster;
    } finally {
      await log.close();
    }
  }

  /** Fast shutdown: sessions are ended, all is written. Returns when the process is gone. */
  async stop(): Promise<void> {
    await endInOrder(this.pid, () => this.#hasEnded);
  }

  async #waitUntilReady({ data, port }: PostmasterOptions, signal: AbortSignal): Promise<void> {
    while ((await findServer(data))?.readyPid !== this.pid) {
      if (this.#hasEnded) throw failureToStart(await this.ended, port);
      if (signal.aborted) {
        await this.stop();
        signal.throwIfAborted();
      }
      await wait(POLL_MS);
    }
  }
}

/** The failure that an end nobody asked for is; `port_in_use` is told apart, as another port mends it. */
export function failureToStart(end: PostmasterEnd, port: number): MillraceError {
  const { code, signal, lastWords } = end;
  if (lastWords.some((line) => /could not bind .* address|could not create any TCP/.test(line))) {
    return new MillraceError('port_in_use', { port, log: lastWords });
  }
  const full = lastWords.some((line) => line.includes('No space left on device'));
  return new MillraceError(full ? 'disk_full' : 'embedded_postgres_failed', {
    ...(signal === null ? { code } : { signal }),
    log: lastWords,
  });
}

/** What the rest of Millrace relies on; given on the command line, so that no file outranks it. */
function serverArguments({ data, port, socketFolder, settings }: PostmasterOptions): string[] {
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: socketFolder ?? '',
    wal_level: 'logical',
    max_replication_slots: '20',
    max_wal_senders: '20',
    fsync: 'on',
    full_page_writes: 'on',
    logging_collector: 'off',
    log_destination: 'stderr',
    ...settings,
  };
  const pairs = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', data, ...pairs];
}

/**
 * A file and not a pipe: the server outlives us when we are killed, and then must still be able to
 * log. A long one is set aside first.
 */
async function openLog(file: string): Promise<{
  log: Awaited<ReturnType<typeof open>>;
  start: number;
}> {
  return namingFailures(dirname(file), async () => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const size = await sizeOf(file);
    if (size > MAX_LOG_BYTES) await rename(file, `${file}.1`);
    const log = await open(file, 'a', 0o600);
    return { log, start: (await log.stat()).size };
  });
}

async function linesFrom(file: string, start: number): Promise<string[]> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0));
  const text = bytes.subarray(start).toString();
  return text.trimEnd().split('\n').slice(-LAST_WORDS);
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}
