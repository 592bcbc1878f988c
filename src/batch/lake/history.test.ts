import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import {
  schemaOf,
  type TestChange,
  type TestTable,
  writeChanges,
} from '../../../test/lake-changes.ts';
import { compact } from './compaction.ts';
import { COMPACT_ALL } from './compaction-plan.ts';
import { historyOf, stateSql } from './history.ts';
import { Lake } from './lake.ts';
import type { LakeReset, LakeTable } from './manifest.ts';
import { parseRowKey } from './row-key.ts';
import type { RowEvent } from './row-life.ts';

const DAY_MS = 24 * 60 * 60_000;
const START_MS = Date.UTC(2026, 0, 1, 10);
const never = AbortSignal.timeout(600_000);

const ORDERS: TestTable = {
  topic: 'shop.public.orders',
  schema: 'public',
  name: 'orders',
  key: ['id'],
  schemas: [
    schemaOf(0, { id: 'INTEGER', status: 'VARCHAR', note: 'VARCHAR' }),
    schemaOf(
      1,
      { id: 'INTEGER', status: 'VARCHAR', note: 'VARCHAR', total: 'DECIMAL(10,2)' },
      { total: '0.00' },
    ),
  ],
};
const MESSAGES: TestTable = {
  topic: 'shop.message',
  schema: '',
  name: 'message',
  key: [],
  schemas: [schemaOf(0, { prefix: 'VARCHAR', content: 'VARCHAR' })],
};

/** Changes of order 1, a day apart, in transactions 100, 101, … */
const change = (op: TestChange['op'], offset: number, row: TestChange['row']): TestChange => ({
  op,
  partition: 0,
  offset,
  timeMs: START_MS + offset * DAY_MS,
  schema: 'total' in row ? 1 : 0,
  row: { id: '1', ...row },
  tx: 100 + offset,
});

const message = (offset: number, tx: number, content: string): TestChange => ({
  ...change('m', offset, {}),
  timeMs: START_MS + (tx - 100) * DAY_MS,
  row: { prefix: 'audit', content },
  tx,
});

async function place(
  changes: readonly TestChange[],
  {
    table = ORDERS,
    messages = [],
    resets = [],
  }: Readonly<{
    table?: TestTable;
    messages?: readonly TestChange[];
    resets?: readonly LakeReset[];
  }> = {},
) {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await mkdtempDisposable(join(tmpdir(), 'millrace-history-')));
  const lake = await Lake.open(folder.path);
  const tempDirectory = join(folder.path, 'tmp');
  const engine = resources.use(await DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory }));
  await writeChanges(lake, engine, table, changes, { offsets: { 0: changes.length }, resets });
  if (messages.length > 0)
    await writeChanges(lake, engine, MESSAGES, messages, { offsets: { 0: messages.length } });
  const found = async (topic: string): Promise<LakeTable | undefined> =>
    (await lake.manifest()).tables[topic];
  const life = async (key: string): Promise<RowEvent[]> => {
    const of = must(await found(table.topic), 'it was written');
    const options = { messages: await found(MESSAGES.topic), signal: never };
    return Array.fromAsync(historyOf(lake, engine, of, parseRowKey(of, key), options));
  };
  return { lake, engine, life, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** `changed by jane: status pending → paid` */
const told = (event: RowEvent): string => {
  const by = 'actor' in event && event.actor !== null ? ` by ${event.actor}` : '';
  const columns = event.columns.map(
    (each) =>
      `${each.name}${'old' in each ? ` ${JSON.stringify(each.old)}` : ''}${'new' in each ? ` → ${JSON.stringify(each.new)}` : ''}`,
  );
  return `${event.what}${by}: ${columns.join(', ')}`;
};

describe('historyOf', () => {
  test('tells each change as a diff, and who made it', async () => {
    await using at = await place(
      [
        change('c', 0, { status: 'pending', note: 'long' }),
        { ...change('u', 1, { status: 'paid', note: null }), unavailable: ['note'] },
        {
          ...change('u', 2, { status: 'gone', note: 'x' }),
          row: { id: '2', status: 'paid', note: null },
        },
        change('u', 3, { status: 'paid', note: 'long', total: '5.50' }),
        change('d', 4, { status: null, note: null, total: null }),
      ],
      {
        messages: [
          message(0, 101, '{"actor": "jane", "reason": "refund"}'),
          message(1, 103, 'joe, by hand'),
        ],
      },
    );
    const events = await at.life('1');
    assert.deepEqual(events.map(told), [
      'created: id → 1, status → "pending", note → "long", total → "0.00"',
      'changed by jane: status "pending" → "paid"',
      'changed by joe, by hand: total "0.00" → "5.50"',
      'deleted: id 1, status "paid", note "long", total "5.50"',
    ]);
    const [, paid] = events;
    assert.ok(paid !== undefined && 'facts' in paid);
    assert.deepEqual(paid.facts, { reason: 'refund' });
    assert.equal(paid.transaction, 101);
    assert.equal(paid.at, '2026-01-02T10:00:00Z');
  });

  test('tells a truncate, and what a copy found gone', async () => {
    const resets: LakeReset[] = [
      { partition: 0, offset: 1, at: 1, timeMs: START_MS + DAY_MS, cause: 'truncate' },
      { partition: 0, offset: 3, at: 3, timeMs: START_MS + 3 * DAY_MS, cause: 'copy' },
    ];
    await using at = await place(
      [
        change('c', 0, { status: 'a', note: null }),
        { ...change('t', 1, {}), row: {} },
        change('c', 2, { status: 'b', note: null }),
        { ...change('r', 3, {}), row: { id: '9', status: 'z', note: null } },
      ],
      { resets },
    );
    assert.deepEqual((await at.life('1')).map(told), [
      'created: id → 1, status → "a"',
      'truncated: id 1, status "a"',
      'created: id → 1, status → "b"',
      'lost: id 1, status "b"',
    ]);
  });

  test('begins with what retention has left', async () => {
    await using at = await place(
      Array.from({ length: 6 }, (_, offset) =>
        change(offset === 0 ? 'c' : 'u', offset, { status: `s${offset}`, note: null }),
      ),
    );
    const options = { policy: COMPACT_ALL, retentionMs: 2 * DAY_MS, nowMs: START_MS + 5 * DAY_MS };
    await compact(at.lake, at.engine, options, () => {}, never);
    assert.deepEqual((await at.life('1')).map(told), [
      'stood: id → 1, status → "s2"',
      'changed: status "s2" → "s3"',
      'changed: status "s3" → "s4"',
      'changed: status "s4" → "s5"',
    ]);
  });

  test('follows rows without a key by their values', async () => {
    const table = { ...ORDERS, key: [] };
    await using at = await place(
      [
        change('c', 0, { status: 'a', note: null }),
        change('d', 1, { status: 'a', note: null }),
        change('c', 1, { status: 'b', note: null }),
        change('d', 2, { status: 'b', note: null }),
      ],
      { table },
    );
    assert.deepEqual((await at.life('status=b')).map(told), [
      'changed: status "a" → "b"',
      'deleted: id 1, status "b"',
    ]);
  });

  test('refuses a key that the table can not have', async () => {
    await using at = await place([change('c', 0, { status: 'a', note: null })]);
    for (const key of ['one', 'status=a', '{"id":1,"status":2}'])
      await assert.rejects(
        at.life(key),
        (error) => error instanceof MillraceError && error.code === 'lake_key_invalid',
        key,
      );
  });
});

test('stateSql gives the rows as of a time, in the columns of then', async () => {
  await using at = await place([
    change('c', 0, { status: 'pending', note: null }),
    change('u', 1, { status: 'paid', note: null, total: '5.50' }),
  ]);
  const table = must((await at.lake.manifest()).tables[ORDERS.topic], 'it was written');
  const rows = async (timeMs?: number) => {
    const key = parseRowKey(table, '1');
    const sql = await stateSql(at.lake, at.engine, table, { timeMs, key, limit: 5 }, never);
    const found = await at.engine.query(sql);
    return [found.columns.map(({ name }) => name), ...found.rows];
  };
  assert.deepEqual(await rows(START_MS), [
    ['id', 'status', 'note'],
    [1, 'pending', null],
  ]);
  assert.deepEqual(await rows(), [
    ['id', 'status', 'note', 'total'],
    [1, 'paid', null, '5.50'],
  ]);
});

test('keys are read in the order of their columns, by name, and as JSON', () => {
  const table: LakeTable = {
    ...ORDERS,
    key: ['id', 'status'],
    offsets: {},
    changes: [],
    bases: [],
    resets: [],
  };
  const key = { id: '1', status: 'a' };
  for (const text of ['1,a', 'id=1,status=a', 'status=a,id=1', '{"id":1,"status":"a"}'])
    assert.deepEqual({ ...parseRowKey(table, text) }, key, text);
  assert.deepEqual(parseRowKey({ ...table, key: ['status'] }, 'a,b=c'), { status: 'a,b=c' });
  assert.deepEqual(parseRowKey({ ...table, key: [] }, 'status=a'), { status: 'a' });
  for (const text of ['1', '1,a,b', 'id=1', '{"id":1}'])
    assert.throws(() => parseRowKey(table, text), /lake_key_invalid/, text);
});

test('changes that are missing are told between those that are not', async () => {
  await using at = await place([
    change('c', 0, { status: 'a', note: null }),
    change('u', 9, { status: 'b', note: null }),
  ]);
  await at.lake.commit((manifest) => {
    const table = must(manifest.tables[ORDERS.topic], 'it was written');
    const gaps = [{ partition: 0, from: 1, to: 9, atMs: START_MS }];
    return { ...manifest, tables: { ...manifest.tables, [table.topic]: { ...table, gaps } } };
  });
  assert.deepEqual((await at.life('1')).map(told), [
    'created: id → 1, status → "a"',
    'gap: ',
    'changed: status "a" → "b"',
  ]);
});
