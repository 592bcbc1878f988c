import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pipeline } from './pipeline.ts';
import { TOPICS } from './row-tables.ts';
import * as shop from './tables.ts';
import { cdcProcessor } from './streams/cdc-processor.ts';

test('the connector captures the tables whose topics the processor reads', async () => {
  const file = await readFile(new URL(pipeline.connector ?? '', import.meta.url), 'utf8');
  const { config } = JSON.parse(file) as { config: Record<string, string> };
  const tables = (config['table.include.list'] ?? '').split(',');
  assert.deepEqual(
    tables.map((table) => `${config['topic.prefix']}.${table}`),
    TOPICS,
  );
  assert.deepEqual(cdcProcessor.topics, TOPICS);
});

test('the tables that typegen found are those whose topics the processor reads', () => {
  assert.deepEqual(new Set(Object.values(shop).map(({ topic }) => topic)), new Set(TOPICS));
});

test('a misspelt column does not compile', () => {
  const order: Pick<shop.Order, 'status'> = { status: 'pending' };
  assert.equal(order.status, 'pending');
  // @ts-expect-error It is called status.
  assert.equal(order.state, undefined);
});
