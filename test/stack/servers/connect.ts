import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { jarsOf } from './jars.ts';
import { java } from './java.ts';
import { ServerProcess, type ServerControls } from './server-process.ts';
import { deployed } from './settings-file.ts';

/** A Kafka Connect worker of a test's own, with Debezium; what it knows is in Kafka. */
export type TemporaryConnect = AsyncDisposable &
  ServerControls &
  Readonly<{
    /** Of its REST interface, without a slash at the end. */
    url: string;
  }>;

const HOST = '127.0.0.1';

/**
 * Started with `deploy/connect/connect.properties`, port and folders aside. Ready when its REST
 * interface takes connectors.
 */
export async function temporaryConnect({
  brokers,
  settings = {},
  env = {},
  jvm,
}: Readonly<{
  brokers: readonly string[];
  /** Of connect.properties, over those of `deploy/`. */
  settings?: Readonly<Record<string, string>>;
  /** What `${env:NAME}` in a connector's configuration finds, as far as the file allows. */
  env?: Readonly<Record<string, string>>;
  /** Options of the JVM, in place of those for a quick start. */
  jvm?: readonly string[];
}>): Promise<TemporaryConnect> {
  const [kafka, debezium] = [await jarsOf('kafka'), await jarsOf('debezium')];
  const folder = await mkdtemp(join(tmpdir(), 'millrace-connect-'));
  const dispose = () => rm(folder, { recursive: true });
  try {
    const port = await freePort();
    const plugins = join(folder, 'plugins');
    await mkdir(plugins);
    await symlink(debezium, join(plugins, 'debezium-connector-postgres'));
    const file = join(folder, 'connect.properties');
    const own = {
      'bootstrap.servers': brokers.join(','),
      listeners: `http://${HOST}:${port}`,
      'rest.advertised.host.name': HOST,
      'rest.advertised.port': String(port),
      'plugin.path': plugins,
      ...settings,
    };
    await writeFile(file, await deployed('connect/connect.properties', own));
    const url = `http://${HOST}:${port}`;
    const worker = await ServerProcess.start({
      name: `connect-${port}`,
      ...java(kafka, 'org.apache.kafka.connect.cli.ConnectDistributed', [file], jvm),
      env,
      isReady: () => isHealthy(url),
    });
    return {
      ...worker.controls,
      url,
      [Symbol.asyncDispose]: async () => {
        await worker.kill();
        await dispose();
      },
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** What the health check of the compose file asks: answered once the worker has joined its group. */
async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false; // Not listening yet.
  }
}
