import type { DescribedColumn, DescribedTable } from '../described-tables.ts';
import { literal, propertyName } from './source-text.ts';
import type { TableNames } from './table-names.ts';

/** What a new pipeline's processor is called: file, processor and topic. */
export const SAMPLE = 'changes-per-minute';

type Sampled = Readonly<{ table: DescribedTable; names: TableNames }>;

/** A processor that any table can have: it needs no column. */
export function sampleProcessor({ table, names }: Sampled, millrace: string): string {
  return `import { topology, tumbling } from ${literal(millrace)};
import { ${names.value} } from '../tables.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** How many rows of ${table.schema}.${table.name} were inserted, updated and deleted in each minute. */
export const changesPerMinute = topology('${SAMPLE}', { version: '1' }, ({ stream }) => {
  const counts = stream(${names.value})
    .groupBy(({ op }) => op)
    .windowedBy(tumbling({ sizeMs: 60_000, graceMs: 5_000 }))
    .count();

  // At once, and after each change: millrace store scan 'changes:*'
  counts.updates().serve({
    prefix: 'changes:',
    key: ({ key, startMs }) => \`\${new Date(startMs).toISOString()}:\${key}\`,
    expiresAfterMs: DAY_MS,
  });

  // Once, when the minute is over: millrace consume ${SAMPLE} --follow
  counts
    .final()
    .map((count, { key, startMs }) => ({
      minute: new Date(startMs).toISOString(),
      op: key,
      count,
    }))
    .to('${SAMPLE}', { key: ({ op }) => op });
});
`;
}

export function sampleTest({ table, names }: Sampled, testing: string): string {
  const values = table.columns.map(
    (column) => `  ${propertyName(column.name)}: ${sampleValue(column, table.key)},`,
  );
  return `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TopologyTestDriver } from ${literal(testing)};
import { ${names.value}, type ${names.row} } from '../tables.ts';
import { changesPerMinute } from './${SAMPLE}.ts';

const row: ${names.row} = {
${values.join('\n')}
};

test('counts the changes of each minute, by what they did', () => {
  const driver = new TopologyTestDriver(changesPerMinute);
  driver.insert(${names.value}, row, { atMs: 1_000 });
  driver.update(${names.value}, row, row, { atMs: 2_000 });
  driver.update(${names.value}, row, row, { atMs: 59_999 });
  driver.delete(${names.value}, row, { atMs: 60_000 });
  assert.equal(driver.served('changes:1970-01-01T00:00:00.000Z:u'), 2);
  assert.equal(driver.served('changes:1970-01-01T00:01:00.000Z:d'), 1);
});

test('tells the counts of a minute once, when nothing can be added to them', () => {
  const driver = new TopologyTestDriver(changesPerMinute);
  driver.insert(${names.value}, row, { atMs: 1_000 });
  driver.advanceTime(64_999);
  assert.deepEqual(driver.read('${SAMPLE}'), []);
  driver.advanceTime(65_000);
  assert.deepEqual(
    driver.read('${SAMPLE}').map(({ value }) => value),
    [{ minute: '1970-01-01T00:00:00.000Z', op: 'c', count: 1 }],
  );
});
`;
}

/** A value that the column's type allows. */
function sampleValue({ name, sqlType, type, isNullable }: DescribedColumn, key: readonly string[]) {
  if (isNullable && !key.includes(name)) return 'null';
  if (typeof type !== 'string') return literal(type.labels[0] ?? '');
  switch (type) {
    case 'text':
      return literal(SAMPLE_TEXTS.find(([pattern]) => pattern.test(sqlType))?.[1] ?? 'text');
    case 'boolean':
      return 'true';
    case 'unknown':
      return 'null';
    default:
      return '1';
  }
}

/** As capture writes them. */
const SAMPLE_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/\[\]$/, '{}'],
  [/^numeric/, '1.50'],
  [/^timestamp/, '2026-01-31T12:00:00Z'],
  [/^date$/, '2026-01-31Z'],
  [/^time/, '12:00:00Z'],
  [/^uuid$/, '6f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9'],
  [/^jsonb?$/, '{}'],
  [/^bytea$/, 'AAEC'],
];
