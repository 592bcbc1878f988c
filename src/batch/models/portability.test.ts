import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { AVERAGE, GLOBAL_RANK, portabilityProblems } from './portability.ts';
import { RESULT_RULES } from './portable-results.ts';
import { PORTABLE_RULES } from './portable-rules.ts';
import { TEXT_RULES } from './portable-text.ts';

/** By rule: SQL that it finds, and SQL that does the same as it asks. `t` is the table below. */
const CASES: Readonly<
  Record<string, readonly [found: readonly string[], fine: readonly string[]]>
> = {
  QUALIFY: [
    ['SELECT n FROM t QUALIFY row_number() OVER (PARTITION BY n ORDER BY x NULLS LAST) = 1'],
    [
      'SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY n ORDER BY x NULLS LAST) AS r FROM t) AS q WHERE r = 1',
    ],
  ],
  'WITH RECURSIVE': [
    [
      'WITH RECURSIVE q AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM q WHERE n < 3) SELECT n FROM q',
    ],
    ['WITH q AS (SELECT 1 AS n UNION ALL SELECT 2 AS n) SELECT n FROM q'],
  ],
  'SELECT DISTINCT ON': [
    ['SELECT DISTINCT ON (n) n FROM t ORDER BY n NULLS LAST'],
    ['SELECT DISTINCT n FROM t'],
  ],
  'SELECT * EXCLUDE, REPLACE, RENAME or COLUMNS': [
    [
      'SELECT * EXCLUDE (n) FROM t',
      'SELECT * REPLACE (1 AS n) FROM t',
      'SELECT * RENAME (n AS m) FROM t',
      "SELECT COLUMNS('n|x') FROM t",
    ],
    ['SELECT * FROM t', 'SELECT t.* FROM t'],
  ],
  'a sample': [['SELECT n FROM t USING SAMPLE 10%'], ['SELECT n FROM t WHERE n % 10 = 0']],
  'LIMIT without ORDER BY': [
    ['SELECT n FROM t LIMIT 1', 'SELECT n FROM (SELECT n FROM t LIMIT 1) AS q'],
    ['SELECT n FROM t ORDER BY n NULLS LAST LIMIT 1'],
  ],
  'LIMIT of a percentage': [
    ['SELECT n FROM t ORDER BY n NULLS LAST LIMIT 10%'],
    ['SELECT n FROM t ORDER BY n NULLS LAST LIMIT 10'],
  ],
  'an ASOF, POSITIONAL or NATURAL JOIN': [
    [
      'SELECT a.n FROM t AS a NATURAL JOIN t AS b',
      'SELECT a.n FROM t AS a POSITIONAL JOIN t AS b',
      'SELECT a.n FROM t AS a ASOF JOIN t AS b ON a.ts >= b.ts',
    ],
    [
      'SELECT a.n FROM t AS a JOIN t AS b ON a.n = b.n',
      'SELECT n FROM t AS a JOIN t AS b USING (n)',
    ],
  ],
  'a SEMI or ANTI JOIN': [
    [
      'SELECT n FROM t AS a SEMI JOIN t AS b USING (n)',
      'SELECT n FROM t AS a ANTI JOIN t AS b USING (n)',
    ],
    ['SELECT n FROM t AS a WHERE NOT EXISTS (SELECT 1 FROM t AS b WHERE b.n = a.n)'],
  ],
  'NOT IN (SELECT …)': [
    ['SELECT n FROM t WHERE n NOT IN (SELECT n FROM t)'],
    ['SELECT n FROM t WHERE n IN (SELECT n FROM t)', 'SELECT n FROM t WHERE n NOT IN (1, 2)'],
  ],
  'UNION BY NAME': [
    ['SELECT n FROM t UNION BY NAME SELECT n FROM t'],
    ['SELECT n FROM t UNION SELECT n FROM t'],
  ],
  'a table function': [
    ['SELECT 1 AS a FROM range(3)'],
    ['SELECT a FROM (VALUES (1), (2)) AS v(a)'],
  ],
  'ORDER BY ascending without NULLS': [
    [
      'SELECT n FROM t ORDER BY n',
      'SELECT n FROM t ORDER BY n ASC',
      'SELECT SUM(x) OVER (PARTITION BY n ORDER BY ts) AS s FROM t',
    ],
    ['SELECT n FROM t ORDER BY n NULLS FIRST', 'SELECT n FROM t ORDER BY n DESC'],
  ],
  'ORDER BY in an aggregate': [
    ['SELECT MIN(n ORDER BY x DESC) AS m FROM t'],
    ['SELECT min_by(n, x) AS m FROM t'],
  ],
  'percentile_disc over anything but doubles': [
    [
      'SELECT percentile_disc(0.8) WITHIN GROUP (ORDER BY d) AS p FROM t',
      'SELECT quantile_disc(x, 0.8) AS p FROM t',
    ],
    ['SELECT percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(d AS DOUBLE)) AS p FROM t'],
  ],
  'COUNT(DISTINCT …) of several columns': [
    ['SELECT COUNT(DISTINCT (n, x)) AS c FROM t'],
    ['SELECT COUNT(DISTINCT n) AS c FROM t'],
  ],
  'a division that may be by zero': [
    ['SELECT x / n AS a FROM t', 'SELECT n % n AS a FROM t', 'SELECT x / 0 AS a FROM t'],
    [
      'SELECT x / NULLIF(n, 0) AS a FROM t',
      'SELECT x / greatest(n, 1) AS a FROM t',
      'SELECT x / 2 AS a, n % 7 AS b FROM t',
      'SELECT x / CAST(NULLIF(n, 0) AS DOUBLE) AS a FROM t',
    ],
  ],
  'division of a decimal': [
    [
      'SELECT d / 2 AS a FROM t',
      'SELECT n / NULLIF(d, 0) AS a FROM t',
      'SELECT SUM(d) / 2 AS a FROM t',
    ],
    [
      'SELECT CAST(d AS DOUBLE) / 2 AS a FROM t',
      'SELECT CAST(SUM(d) AS DOUBLE) / NULLIF(COUNT(*), 0) AS a FROM t',
      'SELECT x / 2.5 AS a FROM t',
      'SELECT n / 2 AS a FROM t',
    ],
  ],
  'CAST of a double to a decimal': [
    ['SELECT CAST(x AS DECIMAL(10, 2)) AS a FROM t'],
    ['SELECT CAST(d AS DECIMAL(18, 2)) AS a, CAST(n AS DECIMAL(10, 0)) AS b FROM t'],
  ],
  'CAST of a fraction to a whole number': [
    ['SELECT CAST(x AS BIGINT) AS a FROM t', 'SELECT CAST(d AS INTEGER) AS a FROM t'],
    ['SELECT CAST(FLOOR(x) AS BIGINT) AS a, CAST(n AS BIGINT) AS b FROM t'],
  ],
  'CAST of a timestamp or a double to text': [
    ['SELECT CAST(ts AS STRING) AS a FROM t', 'SELECT CAST(x AS STRING) AS a FROM t'],
    ['SELECT CAST(CAST(ts AS DATE) AS STRING) AS a, CAST(d AS STRING) AS b FROM t'],
  ],
  'a cast with ::': [['SELECT n::BIGINT AS a FROM t'], ['SELECT CAST(n AS BIGINT) AS a FROM t']],
  'a cast to a type that is not in both engines': [
    [
      'SELECT CAST(n AS TEXT) AS a FROM t',
      'SELECT CAST(n AS VARCHAR) AS a FROM t',
      'SELECT CAST(n AS DECIMAL) AS a FROM t',
      'SELECT TRY_CAST(v AS INT8) AS a FROM t',
    ],
    [
      "SELECT CAST(n AS STRING) AS a, CAST(v AS VARCHAR(10)) AS b, TRY_CAST(v AS DATE) AS c, DATE '2026-01-31' AS e FROM t",
      "SELECT CAST(concat_ws(')', v, '(' /* as ) */) AS STRING) AS a FROM t",
    ],
  ],
  'a timestamp with an offset': [
    [
      "SELECT TIMESTAMP '2026-01-31 12:00:00+02' AS a FROM t",
      "SELECT CAST('2026-01-31T12:00:00Z' AS TIMESTAMP) AS a FROM t",
    ],
    ["SELECT TIMESTAMP '2026-01-31 12:00:00' AS a, CAST('2026-01-31' AS TIMESTAMP) AS b FROM t"],
  ],
  "INTERVAL '6 days'": [
    ["SELECT ts - INTERVAL '6 days' AS a FROM t"],
    ["SELECT ts - INTERVAL '6' DAY AS a FROM t"],
  ],
  'an interval that is computed': [
    ['SELECT ts - INTERVAL (n) DAY AS a FROM t', 'SELECT ts - to_days(3) AS a FROM t'],
    ['SELECT ts - INTERVAL 6 DAY AS a FROM t'],
  ],
  'EXTRACT of DOW, SECOND, EPOCH and others': [
    ['SELECT CAST(EXTRACT(DOW FROM ts) AS INTEGER) AS a FROM t'],
    ['SELECT CAST(EXTRACT(WEEK FROM ts) AS INTEGER) AS a FROM t'],
  ],
  'date_trunc of a date': [
    [
      "SELECT date_trunc('month', CAST(ts AS DATE)) AS a FROM t",
      "SELECT date_trunc('month', day) AS a FROM t",
    ],
    [
      "SELECT date_trunc('month', ts) AS a, date_trunc('month', CAST(day AS TIMESTAMP)) AS b FROM t",
    ],
  ],
  'a difference of dates': [
    ['SELECT day - CAST(ts AS DATE) AS a FROM t'],
    [
      "SELECT CAST(EXTRACT(DAY FROM (date_trunc('day', ts) - date_trunc('day', ts))) AS INTEGER) AS a FROM t",
    ],
  ],
  'a RANGE frame over a date': [
    [
      "SELECT SUM(x) OVER (ORDER BY day NULLS LAST RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW) AS a FROM t",
    ],
    [
      "SELECT SUM(x) OVER (ORDER BY CAST(day AS TIMESTAMP) NULLS LAST RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW) AS a FROM t",
    ],
  ],
  'a GROUPS frame or EXCLUDE in a window': [
    [
      'SELECT SUM(x) OVER (ORDER BY n DESC GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM t',
      'SELECT SUM(x) OVER (ORDER BY n DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) AS a FROM t',
    ],
    ['SELECT SUM(x) OVER (ORDER BY n DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM t'],
  ],
  'IGNORE NULLS': [
    ['SELECT lag(x IGNORE NULLS) OVER (ORDER BY n DESC) AS a FROM t'],
    ['SELECT lag(x) OVER (ORDER BY n DESC) AS a FROM t'],
  ],
  'a lambda': [['SELECT list_transform(l, lambda x : x + 1) AS a FROM t'], ['SELECT l FROM t']],
  'an element of a list': [
    ['SELECT l[1] AS a FROM t', 'SELECT l[1:2] AS a FROM t'],
    ['SELECT l FROM t'],
  ],
  'a parameter': [[], ['SELECT n FROM t WHERE n = 10']],
  'the current time': [
    ['SELECT current_date AS a FROM t', 'SELECT CURRENT_TIMESTAMP AS a FROM t'],
    ["SELECT TIMESTAMP '2026-01-31 12:00:00' AS a FROM t"],
  ],
  'a function that is not known to be the same on both': [
    [
      'SELECT concat(v, v) AS a FROM t',
      'SELECT log(x) AS a FROM t',
      "SELECT regexp_replace(v, 'a', 'b') AS a FROM t",
      "SELECT v SIMILAR TO 'a.*' AS a FROM t",
      'SELECT now() AS a FROM t',
      "SELECT string_agg(v, ',') AS a FROM t",
      'SELECT median(x) AS a FROM t',
      "SELECT ts AT TIME ZONE 'UTC' AS a FROM t",
      "SELECT CAST(datediff('day', ts, ts) AS INTEGER) AS a FROM t",
      'SELECT CAST(n // 2 AS INTEGER) AS a FROM t',
      'SELECT [1, 2] AS a FROM t',
      'SELECT levenshtein(v, v) AS a FROM t',
    ],
    [
      "SELECT v || 'x' AS a, concat_ws('', v, v) AS b, ln(x) AS c, v LIKE 'a%' AS e, v NOT ILIKE 'b' AS f, COALESCE(v, '') AS g FROM t",
      'SELECT COUNT(*) FILTER (WHERE n > 1) AS a, GROUPING(n) AS b, MAX(x) AS c, max_by(v, x) AS e FROM t GROUP BY ROLLUP (n)',
      "SELECT n IS DISTINCT FROM 1 AS a, TRY_CAST(v AS INTEGER) AS b, CASE WHEN n = 1 THEN 'a' ELSE 'b' END AS c, -n AS e FROM t",
    ],
  ],
  [AVERAGE.construct]: [
    [
      'SELECT AVG(d) AS a FROM t',
      'SELECT AVG(x) AS a, avg(SUM(d)) OVER (PARTITION BY n) AS b FROM t GROUP BY n',
      'WITH q AS (SELECT n, avg(d) FILTER (WHERE n > 1) AS a FROM t GROUP BY n) SELECT a FROM q',
    ],
    ['SELECT AVG(x) AS a, AVG(n) AS b, AVG(CAST(d AS DOUBLE)) AS c FROM t'],
  ],
  [RESULT_RULES.decimal.construct]: [
    [
      'SELECT SUM(d) AS a FROM t',
      'SELECT d * n AS a FROM t',
      'SELECT n, COALESCE(SUM(d), 0) AS a FROM t GROUP BY n UNION ALL SELECT 1 AS n, CAST(2 AS DECIMAL(18, 2)) AS a',
      'WITH q AS (SELECT SUM(d) AS a FROM t) SELECT a FROM q',
      'SELECT * FROM (SELECT d - 1 AS a FROM t) AS q',
    ],
    [
      'SELECT CAST(SUM(d) AS DECIMAL(18, 2)) AS a, MAX(d) AS b FROM t',
      'WITH q AS (SELECT SUM(d) AS a FROM t) SELECT CAST(a AS DECIMAL(18, 2)) AS a FROM q',
      'SELECT d FROM t WHERE d * n > 1',
    ],
  ],
  [RESULT_RULES.width.construct]: [
    [
      'SELECT row_number() OVER (PARTITION BY n ORDER BY x DESC) AS a FROM t',
      'SELECT EXTRACT(YEAR FROM ts) AS a FROM t',
      'SELECT length(v) + 1 AS a FROM t',
      'SELECT q.a FROM (SELECT rank() OVER (PARTITION BY n ORDER BY x DESC) AS a FROM t) AS q',
    ],
    [
      'SELECT CAST(row_number() OVER (PARTITION BY n ORDER BY x DESC) AS BIGINT) AS a FROM t',
      'SELECT v FROM t WHERE length(v) > 1 AND EXTRACT(YEAR FROM ts) = 2026',
      'SELECT length(v) > 1 AS a FROM t',
    ],
  ],
  [RESULT_RULES.null.construct]: [
    ['SELECT NULL AS a FROM t'],
    ['SELECT CAST(NULL AS INTEGER) AS a, COALESCE(NULL, n) AS b FROM t'],
  ],
  "a quote or a backslash within ''": [
    ["SELECT 'O''Hara' AS a FROM t", String.raw`SELECT '\' AS a FROM t`],
    ["SELECT 'O' || chr(39) || 'Hara' AS a FROM t -- don't", 'SELECT v AS "it\'s" FROM t'],
  ],
  "text in $$ or E''": [
    ['SELECT $$a$$ AS a FROM t', "SELECT E'a' AS a FROM t"],
    ["SELECT 'e' AS a FROM t"],
  ],
  'a number with _ or 0x': [['SELECT 1_000 AS a FROM t'], ['SELECT 1000 AS a1_0 FROM t']],
  'a comma at the end of a list': [
    ['SELECT n,\nFROM t', 'SELECT n FROM t WHERE n IN (1, 2, )'],
    ['SELECT n, x FROM t'],
  ],
  'FROM before SELECT': [
    ['FROM t', '-- all\nFROM t SELECT n', 'SELECT n FROM (FROM t) AS q'],
    ['SELECT n FROM t'],
  ],
};

describe('the linter', () => {
  let engine: DuckDbEngine;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-lint-'));
    engine = await DuckDbEngine.open({ memoryLimit: '128MB', threads: 1, tempDirectory: folder });
    await engine.run(
      'CREATE TABLE t (n INTEGER, d DECIMAL(10, 2), x DOUBLE, v VARCHAR, ts TIMESTAMP, day DATE, l INTEGER[])',
    );
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function lint(sql: string) {
    const { rows } = await engine.query(`DESCRIBE ${sql}`);
    const columns = rows.map(([name, type]) => ({ name: name as string, type: type as string }));
    const place = { file: 'models/a.sql', line: 11 };
    return portabilityProblems(engine, { place, sql, columns });
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
