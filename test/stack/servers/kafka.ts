import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { must } from '../../../src/lib/must.ts';
import { freePort } from './free-port.ts';
import { jarsOf } from './jars.ts';
import { java, runJava } from './java.ts';
import { ServerProcess, type ServerControls } from './server-process.ts';
import { deployed } from './settings-file.ts';
import { temporaryZookeeper, type TemporaryZookeeper } from './zookeeper.ts';

type Protocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';

export type KafkaOptions = Readonly<{
  mode?: 'kraft' | 'zookeeper';
  /** Further listeners by name, each on a free port; `settings` says what else they need. */
  listeners?: Readonly<Record<string, Protocol>>;
  /** Of server.properties, over those of `deploy/`. */
  settings?: Readonly<Record<string, string>>;
  /** KRaft alone: there from the first start. */
  scramUsers?: readonly Readonly<{ name: string; password: string }>[];
  /** Of the plain listener; any free one without it. */
  port?: number;
  /** What the broker tells clients of its plain listener, where a relay stands before it. */
  advertisedPort?: number;
  /** Options of the JVM, in place of those for a quick start. */
  jvm?: readonly string[];
}>;

/** A broker of a test's own, with its ZooKeeper where it has one; their data goes with its disposal. */
export type TemporaryKafka = AsyncDisposable &
  ServerControls &
  Readonly<{
    /** `host:port` of the plain listener, as clients reach it. */
    brokers: readonly string[];
    /** The same of a listener that the options name. */
    brokersAt(listener: string): readonly string[];
    zookeeper: TemporaryZookeeper | undefined;
  }>;

const run = promisify(execFile);
const HOST = '127.0.0.1';
const CLUSTER_ID = 'bWlsbHJhY2Utc3RhY2stMQ';

/**
 * Started with `deploy/kafka/server.properties`, or `server-zookeeper.properties`, ports and folders
 * aside. Ready when clients are answered.
 */
export async function temporaryKafka(options: KafkaOptions = {}): Promise<TemporaryKafka> {
  const { mode = 'kraft', listeners = {}, port = await freePort() } = options;
  const folder = await mkdtemp(join(tmpdir(), 'millrace-kafka-'));
  const ports: Record<string, number> = { EXTERNAL: port, INTERNAL: await freePort() };
  for (const name of Object.keys(listeners)) ports[name] = await freePort();
  const zookeeper = mode === 'zookeeper' ? await temporaryZookeeper() : undefined;
  const dispose = async (): Promise<void> => {
    await zookeeper?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  };
  try {
    const broker =
      zookeeper === undefined
        ? await startKraft(folder, ports, options)
        : await startOnZookeeper(folder, ports, options, zookeeper.address);
    const brokersAt = (name: string): string[] => [
      `${HOST}:${must(ports[name], `the options name the listener ${name}`)}`,
    ];
    return {
      ...broker.controls,
      restart: () => restart(broker),
      brokers: [`${HOST}:${options.advertisedPort ?? port}`],
      brokersAt,
      zookeeper,
      [Symbol.asyncDispose]: async () => {
        await broker.kill();
        await dispose();
      },
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function startKraft(
  folder: string,
  ports: Readonly<Record<string, number>>,
  options: KafkaOptions,
): Promise<ServerProcess> {
  const jars = await jarsOf('kafka');
  const controller = `${HOST}:${await freePort()}`;
  const file = join(folder, 'server.properties');
  const settings = {
    ...common(folder, ports, options, { CONTROLLER: 'PLAINTEXT' }),
    'controller.quorum.voters': `1@${controller}`,
    listeners: [`CONTROLLER://${controller}`, addresses(ports)].join(','),
    ...options.settings,
  };
  await writeFile(file, await deployed('kafka/server.properties', settings));
  const users = (options.scramUsers ?? []).flatMap(({ name, password }) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  );
  const format = ['format', '--cluster-id', CLUSTER_ID, '--config', file, ...users];
  await runJava(jars, 'kafka.tools.StorageTool', format);
  return startBroker(jars, file, ports, options);
}

async function startOnZookeeper(
  folder: string,
  ports: Readonly<Record<string, number>>,
  options: KafkaOptions,
  zookeeper: string,
): Promise<ServerProcess> {
  const jars = await jarsOf('kafka-zookeeper');
  const file = join(folder, 'server.properties');
  const settings = {
    ...common(folder, ports, options, {}),
    'zookeeper.connect': zookeeper,
    listeners: addresses(ports),
    ...options.settings,
  };
  await writeFile(file, await deployed('kafka/server-zookeeper.properties', settings));
  const port = must(ports['EXTERNAL'], 'every broker has it');
  return startBroker(jars, file, ports, options, () => knowsTopicsOf(folder, port));
}

function startBroker(
  jars: string,
  file: string,
  ports: Readonly<Record<string, number>>,
  { jvm }: KafkaOptions,
  knowsItsTopics: () => Promise<boolean> = async () => true,
): Promise<ServerProcess> {
  return ServerProcess.start({
    name: `kafka-${ports['EXTERNAL']}`,
    ...java(jars, 'kafka.Kafka', [file], jvm),
    isReady: async (logged) =>
      /\[Kafka(Raft)?Server (node)?[iI]d=1\] (Kafka Server )?started/.test(logged) &&
      (await knowsItsTopics()),
  });
}

/** With ZooKeeper, a broker is started before its controller has told it which topics there are. */
async function knowsTopicsOf(folder: string, port: number): Promise<boolean> {
  const entries = await readdir(join(folder, 'data'));
  const expected = new Set(entries.flatMap((name) => /^(.+)-\d+$/.exec(name)?.[1] ?? []));
  try {
    const { stdout } = await run('kcat', ['-L', '-J', '-b', `${HOST}:${port}`]);
    const { brokers, topics } = JSON.parse(stdout) as { brokers: unknown[]; topics: unknown[] };
    return brokers.length > 0 && topics.length >= expected.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return false; // No answer in time.
    throw new Error('kcat is missing: apt-get install kcat', { cause: error });
  }
}

/**
 * A broker that was killed is refused by ZooKeeper until its session has ended, and gives up at once;
 * it is started again until then, as a container's restart policy does.
 */
async function restart(broker: ServerProcess): Promise<void> {
  for (;;) {
    try {
      return await broker.start();
    } catch (error) {
      if (!String(error).includes('KeeperErrorCode = NodeExists')) throw error;
    }
  }
}

function common(
  folder: string,
  ports: Readonly<Record<string, number>>,
  { listeners = {}, advertisedPort }: KafkaOptions,
  more: Readonly<Record<string, Protocol>>,
): Record<string, string> {
  const protocols = { INTERNAL: 'PLAINTEXT', EXTERNAL: 'PLAINTEXT', ...more, ...listeners };
  const advertised = advertisedPort === undefined ? ports : { ...ports, EXTERNAL: advertisedPort };
  return {
    'advertised.listeners': addresses(advertised),
    'listener.security.protocol.map': Object.entries(protocols)
      .map(([name, protocol]) => `${name}:${protocol}`)
      .join(','),
    'log.dirs': join(folder, 'data'),
  };
}

function addresses(ports: Readonly<Record<string, number>>): string {
  return Object.entries(ports)
    .map(([name, port]) => `${name}://${HOST}:${port}`)
    .join(',');
}
