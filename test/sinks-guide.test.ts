import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { readSinks } from '../src/app/sinks.ts';
import { defineTable, type Topology } from '../src/index.ts';
import { must } from '../src/lib/must.ts';
import { TopologyTestDriver } from '../src/stream/driver/topology-test-driver.ts';

const ROOT = join(import.meta.dirname, '..');
const TABLES = `
  import { defineTable } from 'millrace';
  export const orders = defineTable({ topic: 'db.public.orders', key: ['id'] });`;

type Order = Readonly<{ id: number; customer_id: number; total: string }>;
const orders = defineTable<{ id: number }, Order>({ topic: 'db.public.orders', key: ['id'] });

test('the topology of the guide to sinks does what the guide says', async () => {
  const spending = await topologyOfGuide();
  const driver = new TopologyTestDriver(spending);
  const first = { id: 1, customer_id: 7, total: '1200.50' };
  driver.insert(orders, first);
  driver.insert(orders, { id: 2, customer_id: 7, total: '10.00' });
  driver.delete(orders, first);
  assert.deepEqual(
    driver.read('spending.warehouse').map(({ key, value }) => [key, value]),
    [
      ['7', { customer_id: 7, orders: 1, total: 1200.5 }],
      ['7', { customer_id: 7, orders: 2, total: 1210.5 }],
      ['7', { customer_id: 7, orders: 1, total: 10 }],
    ],
  );
  assert.deepEqual(
    driver.read('spending.alerts').map(({ value }) => value),
    [first],
  );
  const WAREHOUSE_URL = 'postgres://etl:secret@localhost/dw';
  const { processors, resting } = readSinks(
    { name: 'guide', processors: [spending] },
    { WAREHOUSE_URL },
  );
  assert.deepEqual(
    processors.map(({ name, sink }) => [name, sink.description]),
    [
      ['spending.warehouse', 'PostgreSQL table analytics.spending'],
      ['spending.print', 'custom sink'],
    ],
  );
  assert.deepEqual(resting, [{ name: 'spending.alerts', missing: ['ALERT_WEBHOOK_URL'] }]);
});

async function topologyOfGuide(): Promise<Topology> {
  const guide = await readFile(join(ROOT, 'docs/guides/sinks.md'), 'utf8');
  const code = must(/^```ts\n([\s\S]*?)^```$/m.exec(guide)?.[1], 'the guide begins with its code');
  const index = pathToFileURL(join(ROOT, 'src/index.ts')).href;
  const dir = await mkdtemp(join(tmpdir(), 'millrace-guide-'));
  try {
    for (const [name, text] of Object.entries({ 'tables.ts': TABLES, 'streams.ts': code }))
      await writeFile(join(dir, name), text.replace("'millrace'", `'${index}'`));
    const module = (await import(pathToFileURL(join(dir, 'streams.ts')).href)) as {
      spending: Topology;
    };
    return module.spending;
  } finally {
    await rm(dir, { recursive: true });
  }
}
