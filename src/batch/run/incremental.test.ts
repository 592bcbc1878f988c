import assert from 'node:assert/strict';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { seededRandom } from '../../../test/random.ts';
import {
  type ScriptedChange,
  ScriptedLake,
  type ScriptedTable,
} from '../../../test/scripted-lake.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { must } from '../../lib/must.ts';
import type { LakeTable } from '../lake/manifest.ts';
import { loadModels } from '../models/project.ts';
import { runModels } from './model-run.ts';
import type { RunReport } from './run-report.ts';

const TABLES: readonly ScriptedTable[] = [
  {
    name: 'customers',
    key: ['id'],
    columns: [
      { name: 'id', type: 'INTEGER' },
      { name: 'name', type: 'VARCHAR' },
    ],
  },
  {
    name: 'orders',
    key: ['shop', 'id'],
    columns: [
      { name: 'shop', type: 'VARCHAR' },
      { name: 'id', type: 'INTEGER' },
      { name: 'customer_id', type: 'INTEGER' },
      { name: 'placed_at', type: 'TIMESTAMP' },
      { name: 'total', type: 'DECIMAL(10,2)' },
    ],
  },
  {
    name: 'visits',
    key: [],
    columns: [
      { name: 'customer_id', type: 'BIGINT' },
      { name: 'day', type: 'DATE' },
    ],
  },
];

/** Each is also made as a table, under its name with `_whole`, by the same SELECT. */
const MODELS: Readonly<Record<string, Readonly<{ incremental: string; sql: string }>>> = {
  spend: {
    incremental: 'column: customer_id, affected_by: { orders: customer_id, customers: id }',
    sql: `SELECT c.id AS customer_id, c.name, CAST(COUNT(o.id) AS BIGINT) AS orders, CAST(SUM(o.total) AS DECIMAL(18,2)) AS total, MAX(o.placed_at) AS last
FROM {{ source('customers') }} AS c
LEFT JOIN {{ source('orders') }} AS o ON o.customer_id = c.id AND AFFECTED(o.customer_id)
WHERE AFFECTED(c.id)
GROUP BY c.id, c.name`,
  },
  buyers: {
    incremental: 'column: customer_id, affected_by: { orders: customer_id, visits: customer_id }',
    sql: `SELECT customer_id, CAST(SUM(total) AS DECIMAL(18,2)) AS total, CAST(COUNT(*) AS BIGINT) AS touches FROM (
SELECT CAST(customer_id AS BIGINT) AS customer_id, total FROM {{ source('orders') }} WHERE AFFECTED(customer_id)
UNION ALL
SELECT customer_id, NULL AS total FROM {{ source('visits') }} WHERE AFFECTED(customer_id)) AS touched
GROUP BY customer_id`,
  },
  ranks: {
    incremental: 'column: customer_id, affected_by: { orders: customer_id }',
    sql: `SELECT customer_id, shop, id, CAST(ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY total DESC NULLS LAST, shop, id) AS BIGINT) AS place
FROM {{ source('orders') }} WHERE AFFECTED(customer_id)`,
  },
  days: {
    incremental: 'column: day, grain: day, affected_by: { orders: placed_at, visits: day }',
    sql: `SELECT day, CAST(SUM(orders) AS BIGINT) AS orders, CAST(SUM(visits) AS BIGINT) AS visits FROM (
SELECT CAST(placed_at AS DATE) AS day, 1 AS orders, 0 AS visits FROM {{ source('orders') }} WHERE AFFECTED(placed_at)
UNION ALL
SELECT day, 0, 1 FROM {{ source('visits') }} WHERE AFFECTED(day)) AS touched
GROUP BY day`,
  },
  // Reads all of the months it makes anew, and more.
  months: {
    incremental: 'column: placed_at, grain: month, affected_by: { orders: placed_at }',
    sql: `SELECT shop, id, placed_at, total FROM {{ source('orders') }} WHERE AFFECTED(placed_at) OR total > 0`,
  },
};

describe('an incremental model', () => {
  test('equals a full refresh, whatever happens to its sources', { timeout: 110_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        await using batch = await TemporaryBatch.create();
        const history = new History(seededRandom(seed));
        const scripted = await ScriptedLake.create(batch.lakeDir, batch.engine, TABLES);
        await writeModels(batch.modelsDir);
        const hows: string[] = [];
        for (let round = 0; round < 5; round += 1) {
          const changes = history.next(round === 0 ? 40 : 6);
          if (changes.length > 0) await scripted.append(changes, round * 86_400_000);
          const report = await runAll(batch, scripted);
          hows.push(howOf(report, 'spend'));
          for (const name of Object.keys(MODELS)) await assertEqual(batch, scripted, name);
        }
        assert.ok(hows.includes('full') || hows.includes('incremental'));
      }),
      { numRuns: 5 },
    );
  });

  test('is made as a whole when the lake can not tell what has changed', async () => {
    await using batch = await TemporaryBatch.create();
    const scripted = await ScriptedLake.create(batch.lakeDir, batch.engine, TABLES);
    await writeModels(batch.modelsDir);
    const order = (id: number, customer: number | null, op: ScriptedChange['op'] = 'c') =>
      ({
        table: 'orders',
        op,
        row: { shop: 'a', id, customer_id: customer, placed_at: '2026-01-01 10:00:00', total: id },
      }) as const;
    const customer = { table: 'customers', op: 'c', row: { id: 1, name: 'Ann' } } as const;
    await scripted.append([customer, order(1, 1), order(2, null)]);
    const next = async (): Promise<string> => {
      const report = await runAll(batch, scripted);
      for (const name of Object.keys(MODELS)) await assertEqual(batch, scripted, name);
      const spend = must(
        report.models.find(({ name }) => name === 'spend'),
        'it was made',
      );
      assert.equal(spend.outcome, 'done');
      return 'how' in spend ? [spend.how, spend.why ?? ''].join(' ').trim() : '';
    };
    assert.equal(await next(), 'full it has no result yet');
    assert.equal(await next(), 'unchanged');
    await scripted.append([order(1, null, 'u')]);
    assert.equal(await next(), 'incremental');

    await scripted.append([{ table: 'orders', op: 't', row: {} }, order(7, 1)]);
    assert.equal(await next(), 'full public.orders was truncated');
    // What ends a copy comes after changes that were read before.
    await scripted.append([order(8, 1), order(9, 1)]);
    assert.equal(await next(), 'incremental');
    await scripted.edit('orders', (table) => ({
      ...table,
      resets: [...table.resets, copied(table)],
    }));
    await scripted.append([order(10, 1)]);
    assert.equal(await next(), 'full public.orders was copied again');

    await scripted.append([order(11, 1)]);
    await scripted.retain('orders');
    assert.equal(await next(), 'full public.orders has older changes that are no longer kept');
    await scripted.append([order(12, 1), order(8, null, 'd')]);
    assert.equal(await next(), 'incremental');

    const [file] = must((await scripted.lake.manifest()).models['spend'], 'it was made').files;
    const path = scripted.lake.path(must(file, 'it has rows').path);
    await truncate(path, 20);
    assert.equal(await next(), 'full a file of its last result is missing or damaged');

    await writeModels(batch.modelsDir, { spend: 'CAST(COUNT(*) AS BIGINT) + 1 AS more' });
    assert.match(await next(), /^full its SQL/);
  });
});

function copied({ offsets }: LakeTable): LakeTable['resets'][number] {
  const end = must(offsets['0'], 'it has changes');
  return { partition: 0, offset: end - 2, at: end, timeMs: 0, cause: 'copy' };
}

async function writeModels(
  dir: string,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, { incremental, sql }] of Object.entries(MODELS)) {
    const kind = incremental.includes('grain') ? 'time_range' : 'key';
    const added = more[name];
    const text = added === undefined ? sql : sql.replace(/\nFROM/, `, ${added}\nFROM`);
    await writeFile(
      join(dir, `${name}.sql`),
      `/*\nmaterialization: incremental_by_${kind}\nincremental: { ${incremental} }\n*/\n${text.replaceAll(/AFFECTED\(([\w.]+)\)/g, "{{ affected('$1') }}")}\n`,
    );
    await writeFile(
      join(dir, `${name}_whole.sql`),
      `/*\nmaterialization: table\n*/\n${text.replaceAll(/AFFECTED\([\w.]+\)/g, 'TRUE')}\n`,
    );
  }
}

async function runAll(batch: TemporaryBatch, { lake }: ScriptedLake): Promise<RunReport> {
  const { models } = await loadModels(batch.modelsDir);
  const report = await runModels({
    lake,
    warehouse: batch.warehouse,
    models,
    build: new Set(models.map(({ name }) => name)),
    test: new Set(),
    fullRefresh: false,
    runStartedAtMs: 0,
    variables: {},
    onEvent: () => {},
    signal: new AbortController().signal,
  });
  for (const model of report.models)
    assert.equal(model.outcome, 'done', 'problem' in model ? model.problem : '');
  return report;
}

function howOf({ models }: RunReport, model: string): string {
  const report = must(
    models.find(({ name }) => name === model),
    'all were made',
  );
  return report.outcome === 'done' ? report.how : report.outcome;
}

async function assertEqual(
  { engine }: TemporaryBatch,
  { lake }: ScriptedLake,
  name: string,
): Promise<void> {
  const { models } = await lake.manifest();
  const rows = (model: string) =>
    `SELECT * FROM read_parquet([${must(models[model], 'it was made')
      .files.map(({ path }) => `'${lake.path(path)}'`)
      .join(', ')}])`;
  const difference = async (a: string, b: string) =>
    (await engine.query(`${rows(a)} EXCEPT ALL ${rows(b)}`)).rows;
  const whole = `${name}_whole`;
  assert.deepEqual(await difference(name, whole), [], `${name} has rows too many`);
  assert.deepEqual(await difference(whole, name), [], `${name} lacks rows`);
}

type Row = ScriptedChange['row'];

/** Makes up what happens to tables, valid as a source's changes are. */
class History {
  readonly #random: () => number;
  readonly #customers = new Map<string, Row>();
  readonly #orders = new Map<string, Row>();
  #visits: Row[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  next(most: number): ScriptedChange[] {
    const count = this.#below(most + 1);
    return Array.from({ length: count }, () => this.#change()).flat();
  }

  #change(): readonly ScriptedChange[] {
    const kind = this.#below(100);
    if (kind < 1) return this.#truncate();
    if (kind < 25) return this.#keyed('customers', this.#customers, () => this.#customer());
    if (kind < 80) return this.#keyed('orders', this.#orders, () => this.#order());
    return this.#visit();
  }

  #truncate(): readonly ScriptedChange[] {
    this.#orders.clear();
    return [0, 1].map((partition) => ({ table: 'orders', op: 't', row: {}, partition }));
  }

  #keyed(table: string, rows: Map<string, Row>, make: () => Row): readonly ScriptedChange[] {
    const row = make();
    const key = keyOf(row);
    const partition = table === 'orders' ? Number(row['id']) % 2 : 0;
    const change = (op: ScriptedChange['op'], of: Row): ScriptedChange => ({
      table,
      op,
      row: of,
      partition,
    });
    if (!rows.has(key)) {
      rows.set(key, row);
      return [change('c', row)];
    }
    if (this.#below(3) > 0) {
      rows.set(key, row);
      return [change('u', row)];
    }
    rows.delete(key);
    // Without the whole old row, a delete tells the key alone.
    const { id, shop = null } = row;
    return [change('d', table === 'orders' ? { id: id ?? null, shop } : { id: id ?? null })];
  }

  #visit(): readonly ScriptedChange[] {
    const old = this.#visits[this.#below(this.#visits.length * 2)];
    const row = { customer_id: this.#customerId(), day: this.#day() };
    if (old === undefined) {
      this.#visits.push(row);
      return [{ table: 'visits', op: 'c', row }];
    }
    this.#visits = this.#visits.filter((each) => each !== old);
    const gone: ScriptedChange = { table: 'visits', op: 'd', row: old };
    if (this.#below(2) === 0) return [gone];
    this.#visits.push(row);
    return [gone, { table: 'visits', op: 'c', row }];
  }

  #customer(): Row {
    return { id: 1 + this.#below(6), name: this.#below(4) === 0 ? null : `n${this.#below(3)}` };
  }

  #order(): Row {
    return {
      shop: this.#below(2) === 0 ? 'a' : 'b',
      id: this.#below(8),
      customer_id: this.#customerId(),
      placed_at: this.#below(8) === 0 ? null : `${this.#day() ?? '2026-01-31'} 23:59:59.999999`,
      total: this.#below(6) === 0 ? null : this.#below(3) * 10,
    };
  }

  /** Some are of no customer; null is of none either. */
  #customerId(): number | null {
    return this.#below(5) === 0 ? null : this.#below(9);
  }

  #day(): string | null {
    if (this.#below(8) === 0) return null;
    return must(
      ['2026-01-30', '2026-01-31', '2026-02-01', '1999-12-31'][this.#below(4)],
      'of four',
    );
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }
}

function keyOf({ shop, id }: Row): string {
  return JSON.stringify([shop, id]);
}
