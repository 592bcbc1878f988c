import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConnectorConfig } from './connector-config.ts';

const config = (over: Record<string, unknown> = {}) => ({
  'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
  'plugin.name': 'pgoutput',
  'database.hostname': '${env:POSTGRES_HOST}',
  'database.user': 'u',
  'database.password': '${env:POSTGRES_PASSWORD}',
  'database.dbname': 'd',
  'topic.prefix': 'p',
  'decimal.handling.mode': 'string',
  'time.precision.mode': 'isostring',
  ...over,
});
const read = (over: Record<string, unknown> = {}) =>
  readConnectorConfig(
    { name: 'n', config: config(over) },
    { POSTGRES_HOST: 'h', POSTGRES_PASSWORD: 'secret' },
  );

test("Debezium's defaults hold where the file is silent", () => {
  const { name, slot, publication, tombstones, skippedOperations, database } = read();
  assert.deepEqual(
    { name, slot, publication, tombstones, skipped: [...skippedOperations], port: database.port },
    {
      name: 'n',
      slot: 'debezium',
      publication: 'dbz_publication',
      tombstones: true,
      skipped: ['t'],
      port: 5432,
    },
  );
});

test('the environment fills in placeholders', () => {
  const { database } = read();
  assert.deepEqual([database.host, database.password], ['h', 'secret']);
});

test('all problems are named at once, and no secret with them', () => {
  const attempt = () =>
    read({
      'slot.nam': 's',
      'decimal.handling.mode': 'double',
      'database.port': '0',
      'database.user': '${env:NOBODY}',
      'column.exclude.list': 'a',
      'column.mask.with.5.chars': 'a',
      'interval.handling.mode': 'string',
      'topic.prefix': 'a b',
    });
  assert.throws(attempt, (error: Error) => {
    for (const part of [
      'slot.nam: unknown option; did you mean slot.name?',
      'decimal.handling.mode: expected string, found "double"',
      'database.port: expected a whole number from 1 to 65535, found "0"',
      'database.user: the environment has no NOBODY',
      'column.exclude.list: the native connector does not have it yet',
      'column.mask.with.5.chars: the native connector does not have it yet',
      'interval.handling.mode: the native connector does not have it yet; expected it absent or "numeric"',
      'topic.prefix: expected letters, digits, ., _ and -, found "a b"',
    ])
      assert.ok(error.message.includes(part), `${part} is not in ${error.message}`);
    assert.ok(!error.message.includes('secret'));
    return true;
  });
});

test('tables are chosen as Debezium chooses them: whole names, by regular expressions', () => {
  const { tables } = read({ 'table.include.list': 'public.orders, public\\.cust.*' });
  assert.deepEqual(
    ['orders', 'orders2', 'customers', 'x'].map((name) => tables.matches('public', name)),
    [true, false, true, false],
  );
});

test('logical messages are chosen by one list at most', () => {
  const both = { 'message.prefix.include.list': 'a', 'message.prefix.exclude.list': 'b' };
  assert.throws(() => read(both), /message\.prefix\.include\.list and .*: expected one of them/);
  assert.throws(() => read({ 'message.prefix.exclude.list': '(' }), /expected regular expressions/);
  const { messages } = read();
  assert.deepEqual(
    ['audit', '', 'millrace', 'millrace2'].map((prefix) => messages.matches(prefix)),
    [true, true, false, true],
  );
});

test('heartbeats are off without an interval, and else as the options say', () => {
  assert.equal(read({ 'heartbeat.action.query': 'select 1' }).heartbeat, undefined);
  assert.deepEqual(read({ 'heartbeat.interval.ms': '5000' }).heartbeat, {
    everyMs: 5000,
    topic: '__debezium-heartbeat.p',
    action: undefined,
  });
  assert.throws(() => read({ 'heartbeat.topics.prefix': 'a b' }), /heartbeat\.topics\.prefix/);
});

test('of options for Debezium, Kafka Connect is the judge', () => {
  const over = { 'decimal.handling.mode': 'precise', 'slot.nmae': 'x' };
  const file = { name: 'n', config: config(over) };
  const env = { POSTGRES_HOST: 'h', POSTGRES_PASSWORD: 'secret' };
  const { options, unfilled, slot } = readConnectorConfig(file, env, 'debezium');
  assert.equal(options['decimal.handling.mode'], 'precise');
  assert.equal(options['slot.nmae'], 'x');
  assert.equal(options['database.password'], 'secret');
  assert.equal(unfilled['database.password'], '${env:POSTGRES_PASSWORD}');
  assert.equal(slot, 'debezium');
  assert.throws(() => readConnectorConfig({ name: 'n', config: {} }, {}, 'debezium'), {
    code: 'connector_config_invalid',
  });
});

test('tables are copied in the order of the list that names them, else by name', () => {
  const inOrder = (options: Record<string, string>, ...names: string[]) =>
    names
      .map((name) => ({ schema: 'public', name }))
      .toSorted((a, b) => read(options).tables.compare(a, b))
      .map(({ name }) => name)
      .join(' ');
  const list = { 'table.include.list': 'public.orders,public.c.*,public.b' };
  assert.equal(inOrder({}, 'b', 'C', 'a'), 'C a b');
  assert.equal(inOrder(list, 'b', 'cc', 'ca', 'orders'), 'orders ca cc b');
});
