import { PostgresClient } from '../src/adapters/postgres/client.ts';
import type { TemporaryPostgres } from '../test/postgres.ts';
import { topicOf, type Engine } from './kafka-engines.ts';
import { KcatWatch } from './kcat-watch.ts';
import { lookUntil } from './look-until.ts';
import { insertRow, slotIsActive } from './source.ts';
import { SteadyInserts } from './steady-inserts.ts';

const PER_SECOND = 1000;
const CONNECTIONS = 8;

/**
 * Sorted milliseconds from commit to a read-committed consumer in a process of its own, under a
 * thousand single-row transactions a second; those of the warm-up are left out. The commit time is
 * PostgreSQL's, taken before it flushes the commit.
 */
export async function latenciesMs(
  engine: Engine,
  slot: string,
  {
    server,
    brokers,
    kcat,
    seconds,
    warmUpSeconds,
  }: Readonly<{
    server: TemporaryPostgres;
    brokers: readonly string[];
    kcat: string;
    seconds: number;
    warmUpSeconds: number;
  }>,
): Promise<number[]> {
  await using stack = new AsyncDisposableStack();
  const connect = async () => stack.use(await PostgresClient.connect(server));
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, connect));
  await using client = await PostgresClient.connect(server);
  stack.use(await engine.start(slot));
  await lookUntil(`${engine.name} streams`, () => slotIsActive(client, slot));
  const watch = stack.use(new KcatWatch(kcat, brokers, topicOf(slot)));
  const load = new SteadyInserts(clients, {
    perSecond: PER_SECOND,
    seconds: seconds + warmUpSeconds,
    insert: insertRow,
  });
  await lookUntil(`${engine.name} has carried all rows`, () => {
    load.sendDue();
    return watch.latenciesMs.length >= load.total;
  });
  await load.done();
  return watch.latenciesMs.slice(PER_SECOND * warmUpSeconds).toSorted((a, b) => a - b);
}
