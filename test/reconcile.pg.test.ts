import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { callOperation } from '../src/app/operations/call.ts';
import type { ServedWrite } from '../src/index.ts';
import { must } from '../src/lib/must.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';

const CHANGE_FIGURE = join(import.meta.dirname, 'programs/change-figure.ts');
const NEVER = new AbortController().signal;

describe('millrace reconcile', () => {
  let shop: CommandLine;
  before(async () => {
    shop = await CommandLine.make();
    await shop.up('--no-generator');
    await shop.succeed('generate', '--batches', '3', '--rate', '1000', '--seed', '1');
  });
  after(() => shop[Symbol.asyncDispose]());

  const change = async (...writes: readonly ServedWrite[]): Promise<void> => {
    await promisify(execFile)(process.execPath, [
      CHANGE_FIGURE,
      shop.dataDir,
      JSON.stringify(writes),
    ]);
  };
  const differences = async (): Promise<{ exitCode: number | null; lines: string[] }> => {
    const { exitCode, out } = await shop.run('reconcile');
    return { exitCode, lines: out.split('\n').filter((line) => line.startsWith('DIFFERS')) };
  };

  test('is equal, again and again, while a thousand rows a second come', async () => {
    const load = shop.start('generate', '--rate', '1000', '--seed', '2');
    for (let round = 0; round < 3; round += 1) {
      const { exitCode, out } = await shop.run('reconcile', '--json');
      assert.equal(exitCode, 0, out);
      const { figures, differences: differing } = must(jsonLines(out).at(-1), 'a summary ends it');
      assert.ok(Number(figures) > 50);
      assert.equal(differing, 0);
    }
    load.kill('SIGINT');
    assert.equal((await load.ended).exitCode, 0);
  });

  test('names a sum that was changed, with both values', async () => {
    await change({ op: 'add', key: 'metrics:revenue:total', amount: '0.01' });
    const { exitCode, lines } = await differences();
    assert.equal(exitCode, 1);
    assert.equal(lines.length, 1, lines.join('\n'));
    const [, source, store] =
      /metrics:revenue:total: source (\S+), store (\S+)$/.exec(lines[0] ?? '') ?? [];
    assert.equal((Number(store) - Number(source)).toFixed(2), '0.01');
    await change({ op: 'add', key: 'metrics:revenue:total', amount: '-0.01' });
    assert.deepEqual(await differences(), { exitCode: 0, lines: [] });
  });

  test('names a set and a cached row that were changed', async () => {
    const [customer] = await shop.ask('store.scan', { pattern: 'customer:*:orders', limit: 1 });
    const [order] = await shop.ask('store.keys', { pattern: 'order:*', limit: 1 });
    const cached = await shop.ask('store.get', { key: must(order, 'orders are cached').key });
    const [row] = cached;
    if (customer?.type !== 'set' || row?.type !== 'string') throw new Error('no set, or no row');
    await change(
      { op: 'setAdd', key: customer.key, member: '987654321' },
      { op: 'put', key: row.key, value: JSON.stringify({ ...rowOf(row), status: 'odd' }) },
    );
    const { exitCode, lines } = await differences();
    assert.equal(exitCode, 1);
    assert.ok(
      lines.some((line) => line.includes(customer.key) && line.includes('987654321')),
      lines.join('\n'),
    );
    const status = `DIFFERS ${row.key} status: source ${String(rowOf(row)['status'])}, store odd`;
    assert.ok(lines.includes(status), lines.join('\n'));
    const { key, value, expiresAtMs } = row;
    await change(
      { op: 'setRemove', key: customer.key, member: '987654321' },
      { op: 'put', key, value, ...(expiresAtMs === undefined ? {} : { expiresAtMs }) },
    );
    assert.deepEqual(await differences(), { exitCode: 0, lines: [] });
  });

  describe('while a transaction is left open on the source', () => {
    let client: PostgresClient;
    before(async () => {
      const { host, port, database, user, password } = must(
        (await shop.ask('source', {}))[0],
        'it runs',
      );
      client = await PostgresClient.connect({
        host,
        port,
        database,
        user,
        password: password ?? '',
      });
      await client.query('begin');
      await client.query(`update customers set email = email where id = 1`);
    });
    after(async () => {
      await client.query('rollback');
      await client[Symbol.asyncDispose]();
    });

    const isHeld = async (): Promise<boolean> =>
      (await shop.status()).processors.some(({ state }) => state === 'held');
    const goesOn = (): Promise<void> =>
      eventually('at work again', async () =>
        (await shop.status()).processors.every(({ state }) => state === 'running'),
      );

    test('names it', async () => {
      const stop = new AbortController();
      const args = { nameBlockersAfterMs: 50 };
      let named: string | undefined;
      for await (const event of callOperation(shop, 'reconcile', args, stop.signal)) {
        if (event.kind !== 'progress' || !event.message.includes('still waiting')) continue;
        named = event.message;
        stop.abort();
      }
      assert.match(named ?? '', /transaction to end: pid \d+, begun .*update customers/);
      await goesOn();
    });

    for (const [signal, expected] of [
      ['SIGINT', 130],
      ['SIGKILL', null],
    ] as const) {
      test(`lets the processors go on after ${signal}, and leaves no slot`, async () => {
        const asked = shop.start('reconcile');
        await asked.until(/taking a snapshot/);
        assert.ok(await isHeld());
        asked.kill(signal);
        assert.equal((await asked.ended).exitCode, expected);
        await goesOn();
        await eventually('without the slot', async () => {
          const slots = await client.query(
            `select 1 from pg_replication_slots where slot_name like 'millrace_reconcile%'`,
          );
          return slots.length === 0;
        });
      });
    }
  });

  test('still agrees after all of that', async () => {
    for await (const event of callOperation(shop, 'reconcile', {}, NEVER))
      if (event.kind === 'summary') assert.equal(event.differences, 0);
  });
});

function rowOf({ value }: Readonly<{ value: string }>): Record<string, unknown> {
  return JSON.parse(value) as Record<string, unknown>;
}
