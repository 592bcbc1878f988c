import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TemporaryPostgres } from '../test/postgres.ts';

/** What the native connector is told, beside the topics that both find. */
export type CaptureTask = Readonly<{
  connector: Readonly<{ name: string; config: Readonly<Record<string, string>> }>;
  brokers: readonly string[];
}>;

export const SCHEMAS_TOPIC = 'bench.schemas';

/** One that carries the changes of the table `bench` into Kafka. */
export type Engine = Readonly<{
  name: 'native' | 'debezium' | 'debezium_10ms';
  /** Drains the slot, which exists, into the topic that `topicOf` names, until it is disposed of. */
  start(slot: string): Promise<AsyncDisposable>;
  /** Of the process that runs now. */
  pid(): number | undefined;
}>;

export function topicOf(slot: string): string {
  return `${slot}.public.bench`;
}

/** A process of its own each time. */
export function native(server: TemporaryPostgres, brokers: readonly string[]): Engine {
  let pid: number | undefined;
  const program = new URL('kafka-capture-child.ts', import.meta.url).pathname;
  return {
    name: 'native',
    pid: () => pid,
    start: async (slot) => {
      const task: CaptureTask = { connector: connectorOf(server, slot), brokers };
      const child = spawn(process.execPath, [program], {
        // oxlint-disable-next-line node/no-process-env -- a password belongs in no argument
        env: { ...process.env, BENCH_CAPTURE: JSON.stringify(task) },
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      const ended = once(child, 'exit');
      await once(child, 'spawn');
      pid = child.pid;
      return {
        [Symbol.asyncDispose]: async () => {
          child.kill('SIGTERM');
          const [code] = (await ended) as [number | null];
          pid = undefined;
          if (code !== 0) throw new Error(`the native connector ended with ${code}`);
        },
      };
    },
  };
}

/** A connector on a Connect worker that goes on running, so that it is warm from the second round on. */
export function debezium(
  server: TemporaryPostgres,
  connect: Readonly<{ url: string; pid(): number }>,
  options: Readonly<Record<string, string>> = {},
): Engine {
  return {
    name: options['poll.interval.ms'] === undefined ? 'debezium' : 'debezium_10ms',
    pid: () => connect.pid(),
    start: async (slot) => {
      const { name, config } = connectorOf(server, slot);
      const url = `${connect.url}/connectors/${name}`;
      await request('PUT', `${url}/config`, { ...config, ...options });
      return { [Symbol.asyncDispose]: () => request('DELETE', url) };
    },
  };
}

/** The same for both, in the shop's modes. */
function connectorOf(
  { host, port, user, password, database }: TemporaryPostgres,
  slot: string,
): CaptureTask['connector'] {
  return {
    name: slot,
    config: {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max': '1',
      'plugin.name': 'pgoutput',
      'database.hostname': host,
      'database.port': String(port),
      'database.user': user,
      'database.password': password,
      'database.dbname': database,
      'topic.prefix': slot,
      'slot.name': slot,
      'publication.name': 'bench',
      'publication.autocreate.mode': 'disabled',
      'table.include.list': 'public.bench',
      // From where the slot stands, without a copy.
      'snapshot.mode': 'no_data',
      'decimal.handling.mode': 'string',
      'time.precision.mode': 'isostring',
    },
  };
}

async function request(method: string, url: string, body?: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) ?? null });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
}
