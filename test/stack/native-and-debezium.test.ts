import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { generate } from '../../pipelines/shop/generator.ts';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { must } from '../../src/lib/must.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { captured, capturing, recordsOf, type Captured } from '../capture.ts';
import { watching } from './debezium.ts';
import { EVERY_TABLE, everyOperation, LATER_TABLES, NULL_DEFAULTS } from './every-operation.ts';
import { temporaryConnect } from './servers/connect.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { deployedPostgres } from './servers/postgres.ts';

const SEED = Number(process.env['SEED'] ?? Date.now());
const SHOP = new URL('../../pipelines/shop/', import.meta.url);
/** Connect's converter writes a column's default where the value is null, unless it is told not to. */
const KEEPS_NULLS = SEED % 2 === 0;
const NATIVE = 'native';
const DEBEZIUM = 'debezium';
const LOOK_EVERY_MS = 50;

await using stack = new AsyncDisposableStack();
const postgres = stack.use(await deployedPostgres());
const kafka = stack.use(await temporaryKafka());
const env = { POSTGRES_PASSWORD: postgres.password };
const connect = stack.use(await temporaryConnect({ ...kafka, env }));
const retention = { ms: 3_600_000, bytes: 1_000_000_000 };
const log = stack.use(await KafkaEventLog.open(kafka, { retention }));
const servers = stack.move();
after(() => servers.disposeAsync());

test(`native and Debezium write the same topics for every operation there is (SEED=${SEED})`, async () => {
  await using a = await PostgresClient.connect(postgres);
  await using b = await PostgresClient.connect(postgres);
  await a.query(EVERY_TABLE);
  await a.query(readFileSync(new URL('schema.sql', SHOP), 'utf8'));
  await log.createTopics(
    LATER_TABLES.map((table) => ({
      name: `${DEBEZIUM}.every.${table}`,
      partitions: 1,
      cleanup: 'delete' as const,
    })),
  );
  const native = await capturing(postgres, log, optionsOf(NATIVE));
  await using debezium = await watching({ postgres, kafka, connect, log }, optionsOf(DEBEZIUM));
  await debezium.until('streaming');

  let marks = 0;
  const caughtUp = async (): Promise<void> => {
    marks += 1;
    await a.query(`insert into every.caught_up values (${marks})`);
    for (const prefix of [NATIVE, DEBEZIUM])
      await eventually(async () => {
        const topic = `${prefix}.every.caught_up`;
        return (await recordsOf(log, topic)).length >= marks;
      });
  };
  await caughtUp();
  const shop = runShop();
  for (const step of everyOperation(SEED))
    if (step === 'caught up') await caughtUp();
    else await (step.session === 'a' ? a : b).query(step.sql);
  await shop;
  await caughtUp();
  const copied = ['whole', 'composite', 'typed'];
  await Promise.all([
    native.connector.copy(copied.map((table) => `${NATIVE}.every.${table}`)),
    debezium.connector.copy(copied.map((table) => `${DEBEZIUM}.every.${table}`)),
  ]);
  for (const { connector } of [native, debezium])
    await eventually(async () => {
      const lines = connector.status().copy ?? [];
      return copied.every((table) =>
        lines.some((line) => line.table === `every.${table}` && line.done),
      );
    });
  await caughtUp();
  await native.stop();

  const found = await tellingsOf(NATIVE);
  const expected = await tellingsOf(DEBEZIUM);
  const topics = new Set([...found.keys(), ...expected.keys()]);
  const differences = [...topics].flatMap((topic) =>
    differencesOf(topic, found.get(topic) ?? [], expected.get(topic) ?? []),
  );
  assert.deepEqual(differences, []);
  const said = new Set((expected.get('message') ?? []).map(({ key }) => JSON.stringify(key)));
  assert.ok(said.has('{"prefix":"audit"}'), 'the generator says who it is');
  assert.ok(!said.has('{"prefix":"millrace"}'), 'the heartbeat says nothing');
  const records = [...found.values()].reduce((sum, each) => sum + each.length, 0);
  assert.ok(records > 300, `only ${records} records were compared`);

  const beats = await Promise.all([NATIVE, DEBEZIUM].map(beatOf));
  assert.equal(beats[0], beats[1]);
});

/** Beside the other sessions, on one of its own. */
async function runShop(): Promise<void> {
  await using client = await PostgresClient.connect(postgres);
  const { query } = client;
  const transaction: typeof client.transaction = (work) => client.transaction(work);
  const options = {
    seed: SEED,
    recordsPerBatch: 20,
    intervalMs: 10,
    batches: 5,
    onBatch: () => {},
  };
  await generate({ query, transaction }, options, new AbortController().signal);
}

/** The shop's, for these tables and this server; what changes records is the same for both. */
function optionsOf(prefix: string): Record<string, string> {
  const file = readFileSync(new URL('connector.json', SHOP), 'utf8');
  const { config } = JSON.parse(file) as { config: Record<string, string> };
  const ofShop = Object.entries(config).filter(([option]) => !option.startsWith('database.'));
  return {
    ...Object.fromEntries(ofShop),
    'topic.prefix': prefix,
    'slot.name': prefix,
    'publication.name': prefix,
    'publication.autocreate.mode': 'all_tables', // tables are made while both run
    'table.include.list': String.raw`${config['table.include.list']},every\..*`,
    'heartbeat.interval.ms': '500',
    'poll.interval.ms': '10',
    ...(KEEPS_NULLS && { 'value.converter.replace.null.with.default': 'false' }),
  };
}

async function beatOf(prefix: string): Promise<string> {
  const [beat] = await recordsOf(log, `__debezium-heartbeat.${prefix}`);
  const { key, value, headers } = must(beat, 'it ran for more than an interval');
  const text = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString();
  const told = [text(key).replace(prefix, '*'), text(value).replace(/\d{13}/, '*'), headers];
  return JSON.stringify(told);
}

/** What each topic of a connector tells, by its name without the prefix, what varies left out. */
async function tellingsOf(prefix: string): Promise<Map<string, Telling[]>> {
  const tellings = new Map<string, Telling[]>();
  for (const { topic, key, value, headers } of await captured(log, `${prefix}.`)) {
    const name = topic.slice(prefix.length + 1);
    const known = tellings.get(name) ?? [];
    known.push({
      key,
      value: value === null ? null : steady(value as ChangeEvent, prefix),
      headers: headers.map(([header, text]) => [
        header,
        header.endsWith('.runId') ? '*' : text.replace(new RegExp(`^${prefix}$`), '*'),
      ]),
    });
    tellings.set(name, known);
  }
  return tellings;
}

type ChangeEvent = Readonly<{
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  source: Readonly<Record<string, unknown>>;
}>;
type Telling = Readonly<{ key: unknown; value: ChangeEvent | null; headers: Captured['headers'] }>;

/** Times of a streamed change are the source's, and stay; those of a copy are the connector's. */
function steady(event: ChangeEvent, prefix: string): ChangeEvent {
  const { source } = event;
  const isCopied = source['snapshot'] !== (KEEPS_NULLS ? null : 'false');
  const isIncremental = source['snapshot'] === 'incremental';
  const varying = [
    'version',
    ...(isCopied ? ['ts_ms', 'ts_us', 'ts_ns'] : []),
    ...(isCopied && !isIncremental ? ['txId', 'lsn'] : []),
    'sequence', // it names the commit before, and Debezium's heartbeats commit, too
  ];
  return {
    ...event,
    ...Object.fromEntries(['ts_ms', 'ts_us', 'ts_ns'].map((field) => [field, '*'])),
    source: {
      ...source,
      ...Object.fromEntries(varying.map((field) => [field, '*'])),
      name: String(source['name']).replace(prefix, '*'),
    },
  };
}

function differencesOf(
  topic: string,
  found: readonly Telling[],
  expected: readonly Telling[],
): string[] {
  const differences =
    found.length === expected.length
      ? []
      : [`${topic}: ${found.length} records, and ${expected.length} of Debezium`];
  for (const [nth, telling] of found.entries()) {
    const other = expected[nth];
    if (other === undefined) break;
    const ours = JSON.stringify(telling);
    const theirs = JSON.stringify(withoutDefaults(topic, other, telling));
    if (ours === theirs) continue;
    let at = 0;
    while (ours[at] === theirs[at]) at += 1;
    const part = (text: string) => text.slice(Math.max(0, at - 80), at + 80);
    differences.push(`${topic} #${nth}\n  ${part(ours)}\n  Debezium: ${part(theirs)}`);
    break; // what follows is most likely a consequence
  }
  return differences;
}

/** Null is what is in the source, and what the native connector writes in any case. */
function withoutDefaults(topic: string, { key, value, headers }: Telling, ours: Telling): Telling {
  const defaults = NULL_DEFAULTS[topic];
  if (KEEPS_NULLS || defaults === undefined || value === null) return { key, value, headers };
  const row = (side: 'before' | 'after') =>
    value[side] &&
    Object.fromEntries(
      Object.entries(value[side]).map(([column, theirs]) => {
        const isDefault = defaults[column]?.includes(theirs) === true;
        return [column, isDefault && ours.value?.[side]?.[column] === null ? null : theirs];
      }),
    );
  return { key, value: { ...value, before: row('before'), after: row('after') }, headers };
}

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(60_000);
  while (!(await isSo())) {
    deadline.throwIfAborted();
    await systemClock.sleep(LOOK_EVERY_MS, deadline);
  }
}
