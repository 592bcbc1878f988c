import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { jarsOf } from './jars.ts';
import { java } from './java.ts';
import { ServerProcess, type ServerControls } from './server-process.ts';
import { deployed } from './settings-file.ts';

/** A ZooKeeper of a test's own; its data goes with its disposal. */
export type TemporaryZookeeper = AsyncDisposable &
  ServerControls &
  Readonly<{
    /** `host:port`, as brokers name it. */
    address: string;
  }>;

const HOST = '127.0.0.1';

/** Started with `deploy/zookeeper/zookeeper.properties`, port and folder aside. */
export async function temporaryZookeeper(): Promise<TemporaryZookeeper> {
  const jars = await jarsOf('kafka-zookeeper');
  const folder = await mkdtemp(join(tmpdir(), 'millrace-zookeeper-'));
  const port = await freePort();
  const file = join(folder, 'zookeeper.properties');
  const settings = {
    clientPort: String(port),
    clientPortAddress: HOST,
    dataDir: join(folder, 'data'),
  };
  await writeFile(file, await deployed('zookeeper/zookeeper.properties', settings));
  const server = await ServerProcess.start({
    name: `zookeeper-${port}`,
    ...java(jars, 'org.apache.zookeeper.server.quorum.QuorumPeerMain', [file]),
    isReady: () => isOk(port),
  });
  return {
    ...server.controls,
    address: `${HOST}:${port}`,
    [Symbol.asyncDispose]: async () => {
      await server.kill();
      await rm(folder, { recursive: true });
    },
  };
}

/** What the health check of `deploy/kafka/zookeeper.yaml` asks. */
async function isOk(port: number): Promise<boolean> {
  const socket = connect(port, HOST);
  try {
    await once(socket, 'connect');
    socket.setEncoding('utf8').end('ruok');
    const [answer] = (await once(socket, 'data')) as [string];
    return answer === 'imok';
  } catch {
    return false; // Not yet.
  } finally {
    socket.destroy();
  }
}
