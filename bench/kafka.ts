import { KafkaEventLog } from '../src/adapters/kafka/event-log.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../test/postgres.ts';
import { temporaryConnect } from '../test/stack/servers/connect.ts';
import { temporaryKafka } from '../test/stack/servers/kafka.ts';
import type { Figures } from './figures.ts';
import { debezium, native, SCHEMAS_TOPIC, topicOf, type Engine } from './kafka-engines.ts';
import { latenciesMs } from './kafka-latency.ts';
import { secondsToDrain } from './kafka-throughput.ts';
import { findPeer } from './peer.ts';
import { MemoryWatch } from './process-cost.ts';
import { createSlots, createTable, dropSlot, insertRows, lastId } from './source.ts';
import { median, percentile } from './statistics.ts';

type Sizes = Readonly<{
  rounds: number;
  rows: number;
  perTransaction: number;
  seconds: number;
  warmUpSeconds: number;
}>;

type Bench = Readonly<{
  server: TemporaryPostgres;
  log: EventLog;
  brokers: readonly string[];
  kcat: string;
  sizes: Sizes;
}>;

const USUAL: Sizes = {
  rounds: 3,
  rows: 500_000,
  perTransaction: 25_000,
  seconds: 20,
  warmUpSeconds: 5,
};

/** What the scripts of Kafka's distribution give a broker, and a Connect worker. */
const JVM = ['-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];
const BROKER = [...JVM, '-Xms1g', '-Xmx1g'];
const WORKER = [...JVM, '-Xms256m', '-Xmx2g'];

/**
 * The native connector into Kafka, and Debezium into the same Kafka, each alone, in turn: a backlog
 * of rows, then a thousand single-row transactions a second. Debezium runs with its default
 * `poll.interval.ms`, and with 10 ms.
 */
export async function benchKafka(sizes: Sizes = USUAL): Promise<Figures> {
  const kcat = findPeer('kcat', 'kcat', '-V').path;
  await using server = await temporaryPostgres({ isNew: true });
  await createTable(server);
  await using kafka = await temporaryKafka({ jvm: BROKER });
  const { brokers } = kafka;
  await using connect = await temporaryConnect({ brokers, jvm: WORKER });
  const retention = { ms: 168 * 3_600_000, bytes: 100 * 2 ** 30 };
  await using log = await KafkaEventLog.open({ brokers }, { retention });
  const bench = { server, log, brokers, kcat, sizes };
  const ours = native(server, brokers);
  const usual = debezium(server, connect);
  const eager = debezium(server, connect, { 'poll.interval.ms': '10' });
  using ourMemory = new MemoryWatch(() => ours.pid());
  using theirMemory = new MemoryWatch(() => connect.pid());

  const [ourRates = [], usualRates = [], eagerRates = []] = await drain(bench, [
    ours,
    usual,
    eager,
  ]);
  const [our = [], theirs = [], theirsEager = []] = await follow(bench, [ours, usual, eager]);
  const ratio = (rates: readonly number[]) =>
    median(ourRates.map((rate, round) => rate / (rates[round] ?? Number.NaN)));
  return {
    native_rows_per_s: Math.round(median(ourRates)),
    debezium_rows_per_s: Math.round(median(usualRates)),
    debezium_10ms_rows_per_s: Math.round(median(eagerRates)),
    ratio: rounded(ratio(usualRates), 2),
    ratio_10ms: rounded(ratio(eagerRates), 2),
    native_p50_ms: rounded(percentile(our, 0.5), 1),
    native_p99_ms: rounded(percentile(our, 0.99), 1),
    debezium_p50_ms: rounded(percentile(theirs, 0.5), 1),
    debezium_p99_ms: rounded(percentile(theirs, 0.99), 1),
    debezium_10ms_p50_ms: rounded(percentile(theirsEager, 0.5), 1),
    debezium_10ms_p99_ms: rounded(percentile(theirsEager, 0.99), 1),
    native_private_mb: Math.round(ourMemory.peakPrivateMb),
    debezium_private_mb: Math.round(theirMemory.peakPrivateMb),
  };
}

/** Rows a second, of each engine in each round. */
async function drain(bench: Bench, engines: readonly Engine[]): Promise<number[][]> {
  const { server, log, sizes } = bench;
  const slotOf = (engine: Engine, round: number) => `${engine.name}_${round}`;
  const rounds = Array.from({ length: sizes.rounds }, (_, round) => round);
  const slots = rounds.flatMap((round) => engines.map((engine) => slotOf(engine, round)));
  await prepare(bench, slots);
  await insertRows(server, sizes.rows, sizes.perTransaction);
  await using client = await PostgresClient.connect(server);
  const backlog = { rows: sizes.rows, lastId: await lastId(client) };
  const rates: number[][] = engines.map(() => []);
  for (const round of rounds)
    for (const [index, engine] of engines.entries()) {
      const slot = slotOf(engine, round);
      const seconds = await secondsToDrain(engine, slot, backlog, { client, log });
      rates[index]?.push(sizes.rows / seconds);
      await dropSlot(server, slot);
    }
  return rates;
}

/** Latencies of each engine, sorted. */
async function follow(bench: Bench, engines: readonly Engine[]): Promise<number[][]> {
  const latencies: number[][] = [];
  for (const engine of engines) {
    const slot = `${engine.name}_latency`;
    await prepare(bench, [slot]);
    latencies.push(await latenciesMs(engine, slot, { ...bench, ...bench.sizes }));
    await dropSlot(bench.server, slot);
  }
  return latencies;
}

/** Slots, each with its topic. */
async function prepare({ server, log }: Bench, slots: readonly string[]): Promise<void> {
  const topics = [SCHEMAS_TOPIC, ...slots.map(topicOf)];
  await log.createTopics(topics.map((name) => ({ name, partitions: 1, cleanup: 'delete' })));
  await createSlots(server, slots);
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
