import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Settings = Readonly<Record<string, string | readonly string[]>>;

/** A running Redis server of a test's own; it and its files go with its disposal. */
export type TemporaryRedis = AsyncDisposable &
  Readonly<{
    host: string;
    port: number;
    folder: string;
    /** Settles when the server has ended, without writing anything more. */
    kill(): Promise<void>;
    /** On the same port, with what the files hold. */
    restart(): Promise<void>;
  }>;

const HOST = '127.0.0.1';

/**
 * On a free port of loopback, with its files in a temporary folder; nothing is written there unless
 * the settings, those of redis.conf, say so.
 */
export async function temporaryRedis(settings: Settings = {}): Promise<TemporaryRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
  const port = await freePort();
  const start = () => startServer({ port: String(port), dir: folder, save: '', ...settings });
  let server = await start();
  const kill = async (): Promise<void> => {
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  };
  // A test that fails before it disposes of its server leaves none behind.
  const killNow = () => void server.kill('SIGKILL');
  process.once('exit', killNow);
  return {
    host: HOST,
    port,
    folder,
    kill,
    restart: async () => {
      server = await start();
    },
    [Symbol.asyncDispose]: async () => {
      process.off('exit', killNow);
      await kill();
      await rm(folder, { recursive: true });
    },
  };
}

async function startServer(settings: Settings) {
  const options = Object.entries({ bind: HOST, ...settings }).flatMap(([name, value]) => [
    `--${name}`,
    ...(typeof value === 'string' ? [value] : value),
  ]);
  const server = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [server.stdout, server.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? new Error('redis-server is missing: apt-get install redis-server', { cause: error })
          : error,
      ),
    );
    server.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)));
    server.stdout.on('data', () => {
      if (said.includes('Ready to accept connections')) resolve();
    });
  });
  return server;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
