import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { AVERAGE, GLOBAL_RANK, portabilityProblems } from './portability.ts';
import { CASES, COLUMNS, FUNCTIONS } from '../../../test/portable-sql.ts';
import { PORTABLE_FUNCTIONS } from './portable-functions.ts';
import { RESULT_RULES } from './portable-results.ts';
import { PORTABLE_RULES } from './portable-rules.ts';
import { TEXT_RULES } from './portable-text.ts';

describe('the linter', () => {
  let engine: DuckDbEngine;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-lint-'));
    engine = await DuckDbEngine.open({ memoryLimit: '128MB', threads: 1, tempDirectory: folder });
    const columns = COLUMNS.map(({ name, type }) => `${name} ${type}`);
    await engine.run(`CREATE TABLE t (${columns.join(', ')})`);
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function lint(sql: string) {
    const { rows } = await engine.query(`DESCRIBE ${sql}`);
    const columns = rows.map(([name, type]) => ({ name: name as string, type: type as string }));
    const place = { file: 'models/a.sql', line: 11 };
    return portabilityProblems(engine, { place, sql, columns, inputs: COLUMNS });
  }

  const rules = [...PORTABLE_RULES, ...TEXT_RULES, ...Object.values(RESULT_RULES), AVERAGE];
  for (const { construct, why } of rules) {
    const [found = [], fine = []] = CASES[construct] ?? [];
    test(`finds ${construct}`, async () => {
      for (const sql of found) {
        const { problems } = await lint(sql);
        assert.ok(
          problems.some(({ text }) => text.endsWith(`(${why})`)),
          `${sql}\n${JSON.stringify(problems)}`,
        );
      }
    });
    test(`asks for what it finds nothing in, in place of ${construct}`, async () => {
      assert.ok(fine.length > 0);
      for (const sql of fine) assert.deepEqual((await lint(sql)).problems, [], sql);
    });
  }

  test('finds nothing in what uses functions that are the same on both', async () => {
    assert.deepEqual(Object.keys(FUNCTIONS).toSorted(), [...PORTABLE_FUNCTIONS].toSorted());
    for (const sql of Object.values(FUNCTIONS))
      assert.deepEqual((await lint(sql)).problems, [], sql);
  });

  test('has a case for each rule', () => {
    assert.deepEqual(
      Object.keys(CASES).toSorted(),
      rules.map(({ construct }) => construct).toSorted(),
    );
  });

  test('says where, what, and what to write', async () => {
    const { problems } = await lint('SELECT n,\n  AVG(d) AS a\nFROM t\nGROUP BY n');
    assert.deepEqual(problems, [
      {
        file: 'models/a.sql',
        line: 12,
        text: 'AVG of a decimal: write CAST(SUM(d) AS DOUBLE) / NULLIF(COUNT(d), 0) (it is a double in DuckDB and a rounded decimal in Spark)',
      },
    ]);
  });

  test('warns of ranks over all rows, which Spark makes on one core', async () => {
    const rank = (over: string) =>
      `SELECT v FROM (SELECT v, rank() OVER (${over} ORDER BY x DESC) AS r FROM t) AS q WHERE r < 3`;
    const [{ warnings: all }, { warnings: some }] = [
      await lint(rank('')),
      await lint(rank('PARTITION BY n')),
    ];
    assert.deepEqual(
      all.map(({ text }) => text),
      [`${GLOBAL_RANK.construct}: write ${GLOBAL_RANK.form} (${GLOBAL_RANK.why})`],
    );
    assert.deepEqual(some, []);
  });
});
