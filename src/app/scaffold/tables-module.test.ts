import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { DescribedColumn, DescribedTable } from '../described-tables.ts';
import { tablesModule } from './tables-module.ts';

const ROOT = join(import.meta.dirname, '../../..');

const column = (name: string, more: Partial<DescribedColumn> = {}): DescribedColumn => ({
  name,
  sqlType: 'text',
  type: 'text',
  isNullable: false,
  ...more,
});

const table = (name: string, more: Partial<DescribedTable> = {}): DescribedTable => ({
  schema: 'public',
  name,
  topic: `shop.public.${name}`,
  key: ['id'],
  columns: [column('id', { sqlType: 'integer', type: 'number' })],
  hasOldRows: true,
  estimatedRows: 0,
  ...more,
});

const written = (...tables: DescribedTable[]) =>
  tablesModule(tables, { millrace: 'millrace', placeholder: '__debezium_unavailable_value' });

describe('the module of tables', () => {
  test('has a type for rows and keys, and a value for the table', () => {
    const orders = table('orders', {
      columns: [
        column('id', { sqlType: 'bigint', type: 'integer' }),
        column('status', { sqlType: 'order_status', type: { labels: ['new', 'sent'] } }),
        column('total', { sqlType: 'numeric(10,2)', isNullable: true }),
      ],
    });
    assert.equal(
      written(orders).split('\n\n').slice(1).join('\n\n'),
      `/** A row of public.orders. */
export type Order = Readonly<{
  /** bigint */
  id: number | string;
  /** order_status */
  status: 'new' | 'sent';
  /** numeric(10,2) */
  total: string | null;
}>;

export type OrderKey = Readonly<{
  /** bigint */
  id: number | string;
}>;

export const orders = defineTable<OrderKey, Order>({
  topic: 'shop.public.orders',
  key: ['id'],
});
`,
    );
  });

  test('says what is missing of rows whose old values the WAL leaves out, and where there is no key', () => {
    const text = written(table('visits', { key: [], hasOldRows: false }));
    assert.match(
      text,
      /A row of public\.visits, which has no key\. Its replica identity is not FULL/,
    );
    assert.match(text, /'__debezium_unavailable_value'/);
    assert.match(text, /defineTable<null, Visit>\(\{\n {2}topic: '.*',\n {2}key: \[\],/);
  });

  test('is as oxfmt would write it, whatever names and labels there are', () => {
    const odd = table('customer_shipping_addresses', {
      key: [
        "it's",
        'both \' and "',
        ...Array.from({ length: 9 }, (_, nth) => `part_${nth}_of_key`),
      ],
      hasOldRows: false,
      columns: [
        column("it's"),
        column('both \' and "'),
        ...Array.from({ length: 9 }, (_, nth) => column(`part_${nth}_of_key`)),
        column('1'),
        column('größe'),
        column('a b', { type: 'float', sqlType: '"a*/b"', isNullable: true }),
        column('back\\slash', { type: 'unknown', isNullable: true }),
        column('line\nbreak'),
        column('mood', {
          type: {
            labels: ["can't", 'say "so"', 'a label that is long', 'one more that is long', 'x\\y'],
          },
          sqlType: 'mood',
          isNullable: true,
        }),
      ],
    });
    const text = written(table('orders'), odd, table('empty', { key: [], columns: [] }));
    const formatted = execFileSync(
      join(ROOT, 'node_modules/.bin/oxfmt'),
      ['--stdin-filepath', 'tables.ts'],
      { cwd: ROOT, input: text, encoding: 'utf8' },
    );
    assert.equal(text, formatted);
  });
});
