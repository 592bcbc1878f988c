import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { schemaOf, type TestChange, writeChanges } from '../../../test/lake-changes.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { Lake } from '../../batch/lake/lake.ts';
import { describeFailure } from '../failure.ts';
import { createProgram } from '../program.ts';
import { Terminal } from '../terminal.ts';

const MINUTE_MS = 60_000;

/**
 * Order 1 is created an hour ago and paid half an hour ago by Jane; order 2 is deleted a minute ago. So
 * many more are there for 40 minutes, from number 3 on.
 */
async function shop({ more = 0, isTty = false } = {}) {
  const batch = await TemporaryBatch.create();
  const lake = await Lake.open(batch.lakeDir);
  const nowMs = Date.now();
  const change = (
    op: TestChange['op'],
    offset: number,
    minutesAgo: number,
    row: TestChange['row'],
  ): TestChange => {
    const timeMs = nowMs - minutesAgo * MINUTE_MS;
    return { op, partition: 0, offset, timeMs, schema: 0, row, tx: 700 + offset };
  };
  const orders = {
    topic: 'shop.public.orders',
    schema: 'public',
    name: 'orders',
    key: ['id'],
    schemas: [schemaOf(0, { id: 'INTEGER', status: 'VARCHAR' })],
  };
  const messages = {
    topic: 'shop.message',
    schema: '',
    name: 'message',
    key: [],
    schemas: [schemaOf(0, { prefix: 'VARCHAR', content: 'VARCHAR' })],
  };
  await writeChanges(
    lake,
    batch.engine,
    orders,
    [
      change('c', 0, 60, { id: '1', status: 'pending' }),
      change('c', 1, 50, { id: '2', status: 'pending' }),
      change('u', 2, 30, { id: '1', status: 'paid' }),
      change('d', 3, 1, { id: '2', status: null }),
      ...Array.from({ length: more }, (_, at) =>
        change('c', at + 4, 40, { id: String(at + 3), status: 'paid' }),
      ),
    ],
    { offsets: { 0: more + 4 } },
  );
  const said = change('m', 2, 30, { prefix: 'audit', content: '{"actor":"jane","ticket":4711}' });
  await writeChanges(lake, batch.engine, messages, [said], { offsets: { 0: 3 } });
  const run = async (...args: readonly string[]) => {
    const [out, err] = [new PassThrough(), new PassThrough()];
    let code = 0;
    const program = await createProgram({
      terminal: new Terminal({
        out: Object.assign(out, { isTTY: isTty }),
        err,
        noColour: true,
      }),
      environment: () => ({}),
      cwd: batch.dir,
      signal: new AbortController().signal,
      leaveInterruptsToChild: () => {},
      runsUntilTold: () => {},
      foundFailure: () => {
        code = 1;
      },
    });
    const told = Promise.all([text(out), text(err)]);
    try {
      await program.parseAsync([...args, '--data-dir', batch.dir], { from: 'user' });
    } catch (error) {
      const failure = describeFailure(error);
      code = failure.exitCode;
      err.write(failure.text);
    }
    out.end();
    err.end();
    const [printed, noted] = await told;
    return { code, out: printed, err: noted };
  };
  const { engine } = batch;
  return {
    run,
    lake,
    engine,
    dir: batch.dir,
    [Symbol.asyncDispose]: () => batch[Symbol.asyncDispose](),
  };
}

test("a row's history tells what changed, and by whom", async () => {
  await using at = await shop();
  const [life, json, newest, none, wrong] = await Promise.all([
    at.run('history', 'orders', '1'),
    at.run('history', 'public.orders', 'id=2', '--json'),
    at.run('history', 'orders', '2', '--limit', '1'),
    at.run('history', 'orders', '9'),
    at.run('history', 'orders', 'one'),
  ]);
  assert.match(life.out, /created in transaction 700 by unknown\n {4}id: {5}1\n/);
  assert.match(
    life.out,
    /changed in transaction 702 by jane \(ticket: 4711\)\n {4}status: pending → paid\n$/,
  );
  const events = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { what: string; actor: string | null });
  assert.deepEqual(
    events.map(({ what }) => what),
    ['created', 'deleted'],
  );
  assert.match(newest.out, /deleted/);
  assert.doesNotMatch(newest.out, /created/);
  assert.deepEqual([none.code, none.out], [1, '']);
  assert.match(wrong.err, /lake_key_invalid[^]*the key \(id INTEGER\)[^]*found: one/);
});

test('rows of the past are printed, and written to files', async () => {
  await using at = await shop();
  const [table, row, csv, misspelt, early, exported, messages] = await Promise.all([
    at.run('at', '-40m', 'orders'),
    at.run('at', '-40m', 'orders', '1', '--json'),
    at.run('at', new Date().toISOString(), 'orders', '--format', 'csv'),
    at.run('at', '-40m', 'orders', '--formt', 'csv'),
    at.run('at', '-7d', 'orders'),
    at.run('lake', 'export', 'orders', '--to', join(at.dir, 'orders.csv'), '--at', '-10m'),
    at.run('at', '-1m', 'message'),
  ]);
  assert.equal(messages.code, 2);
  assert.match(messages.err, /expected: a table, which has rows[^]*found: message, the logical/);
  assert.deepEqual(table, { code: 0, out: 'id  status\n 1  pending\n 2  pending\n', err: '' });
  assert.equal(row.out, '{"id":1,"status":"pending"}\n');
  assert.equal(csv.out, 'id,status\n1,paid\n');
  assert.equal(misspelt.code, 2);
  assert.match(early.err, /lake_horizon[^]*earliest: /);
  assert.equal(exported.code, 0, exported.err);
  const written = (await readFile(join(at.dir, 'orders.csv'), 'utf8')).trim().split('\n');
  assert.deepEqual(written.toSorted(byText), ['1,paid', '2,pending', 'id,status']);
});

test('rows of the past have the values that their columns cannot hold', async () => {
  await using at = await shop();
  const reigns = {
    topic: 'shop.public.reigns',
    schema: 'public',
    name: 'reigns',
    key: ['id'],
    schemas: [schemaOf(0, { id: 'INTEGER', began: 'DATE', ended: 'DATE' })],
  };
  const timeMs = Date.now() - MINUTE_MS;
  const change = { op: 'c', partition: 0, timeMs, schema: 0 } as const;
  const changes: TestChange[] = [
    {
      ...change,
      offset: 0,
      row: { id: '1', ended: '0014-08-19' },
      unfit: { began: '0027-01-16 BC' },
    },
    { ...change, offset: 1, row: { id: '2', began: '0014-09-18', ended: null } },
  ];
  await writeChanges(at.lake, at.engine, reigns, changes, { offsets: { 0: 2 } });
  const { out } = await at.run('at', '-0s', 'reigns', '--format', 'csv', '--limit', '2');
  assert.equal(out, 'id,began,ended\n1,0027-01-16 BC,0014-08-19\n2,0014-09-18,\n');
});

test('a table of the past is cut on a terminal, and where it is asked for', async () => {
  await using at = await shop({ more: 101, isTty: true });
  const [cut, limited, csv] = await Promise.all([
    at.run('at', '-20m', 'orders'),
    at.run('at', '-20m', 'orders', '--limit', '1'),
    at.run('at', '-20m', 'orders', '--format', 'csv'),
  ]);
  assert.equal(cut.out.trim().split('\n').length, 1 + 100);
  assert.equal(cut.err, '… and 3 more; --limit for more of them\n');
  assert.deepEqual(limited, { code: 0, out: 'id  status\n 1  paid\n', err: '' });
  assert.equal(csv.out.trim().split('\n').length, 1 + 103);
});

test('rows of a table that is being copied are shown with a warning', async () => {
  await using at = await shop();
  const sinceMs = Date.now() - 20 * MINUTE_MS;
  await at.lake.commit((manifest) => {
    const orders = manifest.tables['shop.public.orders'];
    assert.ok(orders);
    const incomplete = { sinceMs, cause: 'key' } as const;
    return {
      ...manifest,
      tables: { ...manifest.tables, [orders.topic]: { ...orders, incomplete } },
    };
  });
  const [rows, before, exported, listed, json, asked] = await Promise.all([
    at.run('at', '-10m', 'orders', '1'),
    at.run('at', '-40m', 'orders', '1'),
    at.run('lake', 'export', 'orders', '--to', join(at.dir, 'orders.csv')),
    at.run('lake', 'ls'),
    at.run('lake', 'ls', 'orders', '--json'),
    at.run('sql', 'FROM orders', '--json'),
  ]);
  const warning = 'public.orders is being copied: not all of its rows are in the lake yet\n';
  assert.deepEqual(rows, { code: 0, out: 'id  status\n 1  paid\n', err: warning });
  assert.equal(before.err, '');
  assert.equal(exported.err, warning);
  assert.ok(listed.out.endsWith(warning), listed.out);
  assert.deepEqual((JSON.parse(json.out) as { incomplete?: unknown }).incomplete, {
    sinceMs,
    cause: 'key',
  });
  assert.deepEqual(asked, { code: 0, out: '{"id":1,"status":"paid"}\n', err: warning });
});

test('a lake is listed, compacted, and forgets a table that it is told to', async () => {
  await using at = await shop();
  const [listed, asked, none] = await Promise.all([
    at.run('lake', 'ls', '--json'),
    at.run('lake', 'forget', 'orders'),
    at.run('lake', 'ls', 'ordrs'),
  ]);
  const tables = listed.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { table: string; changes: number });
  assert.deepEqual(
    tables.map(({ table, changes }) => [table, changes]),
    [
      ['message', 1],
      ['public.orders', 4],
    ],
  );
  assert.equal(asked.code, 2, 'nobody can be asked');
  assert.match(none.err, /lake_table_unknown[^]*public\.orders/);
  assert.match((await at.run('lake', 'compact')).out, /shop\.public\.orders: 1 row written down/);
  assert.equal((await at.run('lake', 'compact')).out, 'Nothing to do.\n');
  assert.equal((await at.run('lake', 'forget', 'orders', '--yes')).code, 0);
  assert.doesNotMatch((await at.run('lake', 'ls')).out, /orders/);
});

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
