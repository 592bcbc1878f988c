import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { ServerProcess, type ServerControls } from './server-process.ts';
import { deployed } from './settings-file.ts';

type Settings = Readonly<Record<string, string | readonly string[]>>;

/** A Redis server of a test's own; its files go with its disposal. */
export type TemporaryRedis = AsyncDisposable &
  ServerControls &
  Readonly<{ host: string; port: number; folder: string }>;

const HOST = '127.0.0.1';

/**
 * Started with `deploy/redis/redis.conf`, port and folder aside, and with nothing written to files
 * unless the settings, those of redis.conf, say so: most tests need no durability. A restart brings
 * back what the files hold.
 */
export async function temporaryRedis(settings: Settings = {}): Promise<TemporaryRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
  try {
    const port = await freePort();
    const file = join(folder, 'redis.conf');
    const own = { bind: HOST, port: String(port), dir: folder };
    await writeFile(file, await deployed('redis/redis.conf', own, ' '));
    const server = await ServerProcess.start({
      name: `redis-${port}`,
      program: 'redis-server',
      args: [file, ...commandLine({ appendonly: 'no', ...settings })],
      missing: 'redis-server',
      isReady: (logged) => logged.includes('Ready to accept connections'),
    });
    return {
      ...server.controls,
      host: HOST,
      port,
      folder,
      [Symbol.asyncDispose]: async () => {
        await server.kill();
        await rm(folder, { recursive: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true });
    throw error;
  }
}

function commandLine(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [
    `--${name}`,
    ...(typeof value === 'string' ? [value] : value),
  ]);
}
