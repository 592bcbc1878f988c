import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { captured, capturing, until, type Captured } from './capture.ts';
import { temporaryPostgres } from './postgres.ts';

type Scenario = Readonly<{
  name: string;
  setup: string;
  steps: readonly string[];
  config: Record<string, string>;
}>;
type Recorded = Readonly<{
  topic: string;
  key: unknown;
  value: Record<string, unknown> | null;
  headers: readonly (readonly [string, string])[];
}>;

const here = new URL('oracle/', import.meta.url);
const scenarios = JSON.parse(read('scenarios.json')) as readonly Scenario[];

/** Connect's converter writes a column's default where the value is null; this converter option is off here. */
const NULL_NOT_DEFAULT = new Map([
  ['schema_change', { from: '"c": 5}, "after": null', to: '"c": null}, "after": null' }],
]);

describe('the native connector writes what Debezium recorded', () => {
  for (const scenario of scenarios) {
    test(scenario.name, async () => {
      await using server = await temporaryPostgres();
      await using client = await PostgresClient.connect(server);
      await client.query(scenario.setup);
      const log = new MemoryEventLog();
      const expected = recorded(scenario.name);
      const { stop } = await capturing(server, log, scenario.config);
      for (const step of scenario.steps) await client.query(step);
      await until(async () => (await captured(log)).length >= expected.length);
      await stop();
      const topics = new Set(expected.map(({ topic }) => topic));
      const found = await captured(log);
      for (const topic of topics)
        assert.deepEqual(
          found.filter((each) => each.topic === topic).map(comparable),
          expected.filter((each) => each.topic === topic).map(comparable),
        );
      assert.deepEqual(new Set(found.map(({ topic }) => topic)), topics);
    });
  }
});

/** What differs from run to run is taken out on both sides. */
function comparable({ topic, key, value, headers }: Captured | Recorded): unknown {
  return {
    topic,
    key,
    value: masked(value),
    headers: headers.map(([name, text]) => [name, header(name, text)]),
  };
}

function masked(value: unknown): unknown {
  if (value === null) return null;
  const { source, ts_ms: _ms, ts_us: _us, ts_ns: _ns, ...rest } = value as Record<string, unknown>;
  const known = source as Record<string, unknown>;
  const varying = ['version', 'ts_ms', 'ts_us', 'ts_ns', 'db', 'sequence', 'txId', 'lsn'];
  assert.deepEqual(
    varying.filter((name) => !(name in known)),
    [],
  );
  return {
    ...rest,
    source: {
      ...known,
      ...Object.fromEntries(varying.map((name) => [name, known[name] === null ? null : '*'])),
    },
  };
}

/** The recorder printed a key as Java does, `Struct{id=2}`; Connect's converter, and we, write JSON. */
function header(name: string, text: string): string {
  if (name.endsWith('runId')) return '*';
  return text.replace(/^Struct\{(\w+)=(\d+)\}$/, '{"$1":$2}');
}

function recorded(name: string): Recorded[] {
  const other = NULL_NOT_DEFAULT.get(name);
  return read(`scenarios/${name}.jsonl`)
    .trim()
    .split('\n')
    .map(
      (line) =>
        JSON.parse(other === undefined ? line : line.replace(other.from, other.to)) as Recorded,
    )
    .map((each) => ({ ...each, value: withDecimals(each.value) }));
}

/** Column `n` is numeric(10,2), recorded as Connect's Decimal: two's complement, base64. */
function withDecimals(value: Recorded['value']): Recorded['value'] {
  if (value === null || !('after' in value)) return value;
  const row = (side: unknown) => {
    if (typeof side !== 'object' || side === null || !('n' in side) || typeof side.n !== 'string')
      return side;
    const bytes = Buffer.from(side.n, 'base64');
    return { ...side, n: (bytes.readIntBE(0, bytes.length) / 100).toFixed(2) };
  };
  return { ...value, before: row(value.before), after: row(value.after) };
}

function read(path: string): string {
  return readFileSync(new URL(path, here), 'utf8');
}
