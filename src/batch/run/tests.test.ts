import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';
import { must } from '../../lib/must.ts';
import { sqlIdentifier } from '../models/literal.ts';
import type { ModelTest, RenderContext } from '../models/model.ts';
import { failingRowsSql } from './tests.ts';

const CONTEXT: RenderContext = {
  runStartedAtMs: Date.UTC(2026, 0, 31, 12),
  variables: { least: 0 },
  relationOf: sqlIdentifier,
  sourceRelationOf: (source) => sqlIdentifier(`src__public__${source}`),
  affected: () => 'TRUE',
};

type Bare = ModelTest extends infer T
  ? T extends ModelTest
    ? Omit<T, 'name' | 'severity' | 'line'>
    : never
  : never;

/** Rows: (1, it's, 2026-01-31 11:00), (2, null, …10:00), (2, b\, 2026-01-30 12:00), (null, null, null) */
const CASES: readonly (readonly [title: string, test: Bare, failing: readonly unknown[]])[] = [
  ['unique: values that are there again', { kind: 'unique', columns: ['id'] }, [[2, 2]]],
  ['unique: nulls are like no other', { kind: 'unique', columns: ['name'] }, []],
  ['unique: of columns together', { kind: 'unique', columns: ['id', 'name'] }, []],
  ['not_null: rows without the value', { kind: 'not_null', column: 'id' }, [[null, null, null]]],
  [
    'accepted_values: others, but not null',
    { kind: 'accepted_values', column: 'name', values: ["it's", 'x'] },
    [[2, 'b\\', '2026-01-30 12:00:00']],
  ],
  [
    'accepted_values: with quotes and backslashes',
    { kind: 'accepted_values', column: 'name', values: ["it's", 'b\\'] },
    [],
  ],
  ['accepted_values: numbers', { kind: 'accepted_values', column: 'id', values: [1, 2, -3] }, []],
  [
    'relationships: values that stand nowhere',
    { kind: 'relationships', column: 'id', to: { ref: 'others' }, field: 'number' },
    [[1, "it's", '2026-01-31 11:00:00']],
  ],
  [
    'relationships: to a source',
    { kind: 'relationships', column: 'id', to: { source: 'people' }, field: 'id' },
    [],
  ],
  [
    'expression: rows for which it is false, not null',
    { kind: 'expression', expression: "id > {{ var('least') }} + 1 -- at least" },
    [[1, "it's", '2026-01-31 11:00:00']],
  ],
  ['row_count: too few', { kind: 'row_count', min: 5 }, [[4]]],
  ['row_count: too many', { kind: 'row_count', max: 3 }, [[4]]],
  ['row_count: enough', { kind: 'row_count', min: 4, max: 4 }, []],
  ['freshness: new enough', { kind: 'freshness', column: 'seen', maxAgeSeconds: 3600 }, []],
  [
    'freshness: too old',
    { kind: 'freshness', column: 'seen', maxAgeSeconds: 3599 },
    [['2026-01-31 11:00:00']],
  ],
  [
    'sql: what it selects',
    {
      kind: 'sql',
      sql: "SELECT id FROM {{ ref('things') }} WHERE seen < {{ run_started_at }} AND id = 1",
    },
    [[1]],
  ],
];

describe('a test of a model finds', () => {
  let batch: TemporaryBatch | undefined;

  before(async () => {
    batch = await TemporaryBatch.create();
    await batch.engine.run(`CREATE VIEW things AS SELECT * FROM (VALUES
(1, 'it''s', TIMESTAMP '2026-01-31 11:00:00'), (2, NULL, TIMESTAMP '2026-01-31 10:00:00'),
(2, 'b\\', TIMESTAMP '2026-01-30 12:00:00'), (NULL, NULL, NULL)) AS t(id, name, seen);
CREATE VIEW nothing AS SELECT * FROM things WHERE FALSE;
CREATE VIEW others AS SELECT * FROM (VALUES (2), (NULL)) AS t(number);
CREATE VIEW src__public__people AS SELECT * FROM (VALUES (1), (2)) AS t(id)`);
  });

  after(() => batch?.[Symbol.asyncDispose]());

  const failing = async (of: Bare, model: string): Promise<readonly unknown[]> => {
    const named = { ...of, name: 'test', severity: 'error', line: 1 } as const;
    const { engine } = must(batch, 'it was made before');
    return (await engine.query(failingRowsSql(named, model, CONTEXT))).rows;
  };

  for (const [title, of, expected] of CASES)
    test(title, async () => assert.deepEqual(await failing(of, 'things'), expected));

  test('that a model without rows is neither fresh nor enough, and else as it should be', async () => {
    assert.deepEqual(
      await failing({ kind: 'freshness', column: 'seen', maxAgeSeconds: 9 }, 'nothing'),
      [[null]],
    );
    assert.deepEqual(await failing({ kind: 'row_count', min: 1 }, 'nothing'), [[0]]);
    assert.deepEqual(await failing({ kind: 'row_count' }, 'nothing'), []);
    assert.deepEqual(await failing({ kind: 'unique', columns: ['id'] }, 'nothing'), []);
  });
});
