import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isGood } from '../../src/batch/run/run-report.ts';
import { must } from '../../src/lib/must.ts';
import { type LakeRows, type OpenWarehouse, ShopLake } from './shop-models-lake.ts';
import { QUESTIONS } from './shop-models-questions.ts';
import {
  CHANGES,
  FIRST_RUN_MS,
  LATER_CHANGES,
  ROWS_BEFORE,
  SECOND_RUN_MS,
  TRUNCATION,
} from './shop-models-seed.ts';

const TABLES = ['customers', 'products', 'orders', 'order_items', 'outbox'];
/** Their rows come in any order. */
const INCREMENTAL: readonly string[] = ['customer_totals', 'daily_orders'];

/**
 * The shop's models over its lake, against the same questions asked of its source in PostgreSQL's
 * own SQL: row by row, decimals, dates and texts to the character, averages to a part in 10^12.
 */
export function shopModelsContract(name: string, openWarehouse: OpenWarehouse): void {
  describe(`the shop's models on ${name}`, () => {
    let shop: ShopLake;
    before(async () => {
      shop = await ShopLake.open(ROWS_BEFORE, openWarehouse);
    });
    after(() => shop[Symbol.asyncDispose]());

    /** How each incremental model was made. */
    async function runAndCompare(nowMs: number): Promise<Record<string, string>> {
      const report = await shop.run(nowMs);
      assert.ok(isGood(report), JSON.stringify(report, null, 2));
      for (const model of Object.keys(QUESTIONS)) await compareModel(model, nowMs);
      return Object.fromEntries(
        report.models.flatMap((model) =>
          model.outcome === 'done' && INCREMENTAL.includes(model.name)
            ? [[model.name, model.how]]
            : [],
        ),
      );
    }

    async function compareModel(model: string, nowMs: number): Promise<void> {
      const question = must(QUESTIONS[model], 'a name of these');
      const now = `timestamp '${new Date(nowMs).toISOString().slice(0, -1)}'`;
      const expected = await shop.source.query(question(now));
      const found = await shop.result(model);
      assertSameRows(model, INCREMENTAL.includes(model) ? sorted(found) : found, expected);
    }

    async function compareTables(): Promise<void> {
      const states = await shop.states();
      for (const table of TABLES) {
        const expected = await shop.source.query(`SELECT * FROM ${table}`);
        const found = must(states.get(table), `${table} is in the lake`);
        const id = found.columns.findIndex((column) => column.name === 'id');
        assertSameRows(
          table,
          { ...found, rows: found.rows.toSorted((a, b) => compare(a[id], b[id])) },
          expected.toSorted((a, b) => compare(a['id'], b['id'])),
        );
      }
    }

    test('the lake has the rows of the source after its first copy', async () => {
      await shop.apply([]);
      await compareTables();
    });

    test('the lake has them after updates, deletes, new keys and a truncate', async () => {
      await shop.apply(CHANGES);
      await compareTables();
    });

    test('all models answer as PostgreSQL does', async () => {
      const how = await runAndCompare(FIRST_RUN_MS);
      assert.deepEqual(how, { customer_totals: 'full', daily_orders: 'full' });
    });

    test('every kind of customer, product and stock is among the answers', async () => {
      const { columns, rows } = await shop.result('batch_summary');
      const none = columns.flatMap((column, at) => (rows[0]?.[at] === '0' ? [column.name] : []));
      assert.deepEqual(none, []);
    });

    test('all models answer as PostgreSQL does when only what changed is made anew', async () => {
      await shop.apply(LATER_CHANGES);
      await compareTables();
      const how = await runAndCompare(SECOND_RUN_MS);
      assert.deepEqual(how, { customer_totals: 'incremental', daily_orders: 'incremental' });
    });

    test('all models answer as PostgreSQL does of a shop whose orders were truncated', async () => {
      await shop.apply([TRUNCATION]);
      await compareTables();
      const how = await runAndCompare(SECOND_RUN_MS);
      assert.deepEqual(how, { customer_totals: 'full', daily_orders: 'full' });
    });
  });
}

function sorted({ columns, rows }: LakeRows): LakeRows {
  return { columns, rows: rows.toSorted((a, b) => compare(a[0], b[0]) || compare(a[1], b[1])) };
}

/** Numbers as numbers. */
function compare(a: string | null | undefined, b: string | null | undefined): number {
  const [left, right] = [a ?? '', b ?? ''];
  const numbers = Number(left) - Number(right);
  if (!Number.isNaN(numbers)) return numbers;
  return left < right ? -1 : Number(left > right);
}

function assertSameRows(
  what: string,
  { columns, rows }: LakeRows,
  expected: readonly Readonly<Record<string, string | null>>[],
): void {
  const names = columns.map((column) => column.name);
  if (expected[0] !== undefined) assert.deepEqual(names, Object.keys(expected[0]), what);
  assert.equal(rows.length, expected.length, `rows of ${what}`);
  for (const [at, row] of expected.entries()) {
    const found = columns.map(({ name, type }, column) => {
      const [value, other] = [rows[at]?.[column], row[name]];
      return type === 'DOUBLE' && isClose(value, other) ? other : value;
    });
    assert.deepEqual(found, Object.values(row), `row ${at} of ${what}`);
  }
}

function isClose(a: string | null | undefined, b: string | null | undefined): boolean {
  if (a === null || a === undefined || b === null || b === undefined) return false;
  return Math.abs(Number(a) - Number(b)) <= 1e-12 * Math.abs(Number(b));
}
