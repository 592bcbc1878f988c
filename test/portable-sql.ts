import { AVERAGE } from '../src/batch/models/portability.ts';
import { RESULT_RULES } from '../src/batch/models/portable-results.ts';

/** The table that the SQL below reads. */
export const COLUMNS = [
  { name: 'n', type: 'INTEGER' },
  { name: 'd', type: 'DECIMAL(10,2)' },
  { name: 'x', type: 'DOUBLE' },
  { name: 'v', type: 'VARCHAR' },
  { name: 'ts', type: 'TIMESTAMP' },
  { name: 'day', type: 'DATE' },
  { name: 'l', type: 'INTEGER[]' },
] as const;

/** Its rows, with ties, nulls, fractions of both signs, and days around the ends of months and years. */
export const ROWS = [
  "(1, 10.25, 0.5, 'a', TIMESTAMP '2026-01-31 23:59:59.5', DATE '2026-01-31', [1, 2])",
  "(1, -0.05, -2.5, 'B c', TIMESTAMP '2026-02-01 00:00:00', DATE '2026-02-01', [3])",
  "(2, 0.00, 1e10, '', TIMESTAMP '2024-02-29 12:30:00', DATE '2024-02-29', [4])",
  "(-7, 99999999.99, 3.75, 'grün %_', TIMESTAMP '2025-12-29 01:02:03.000004', DATE '2025-12-29', [5])",
  "(10, 10.25, NULL, 'a', NULL, NULL, NULL)",
  "(NULL, NULL, 0.5, NULL, TIMESTAMP '1999-12-31 23:00:00', DATE '1999-12-31', [6])",
] as const;

/** By rule: SQL that it finds, and SQL that does the same as it asks. `t` is that table. */
export const CASES: Readonly<
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
  'a name that the SELECT gives, in its WHERE': [
    [
      'SELECT n + 1 AS more FROM t WHERE more > 2',
      'SELECT a FROM (SELECT upper(v) AS loud, n AS a FROM t WHERE loud = upper(v)) AS q',
    ],
    [
      'SELECT n + 1 AS more FROM t WHERE n + 1 > 2',
      'SELECT more FROM (SELECT n + 1 AS more FROM t) AS q WHERE more > 2',
      'WITH q AS (SELECT n + 1 AS more FROM t) SELECT more + 1 AS more FROM q WHERE more > 2',
      'SELECT q.a * 2 AS b FROM (SELECT n, n FROM t) AS q(a, b) WHERE b > 1',
      'SELECT COUNT(*) AS c FROM t GROUP BY n HAVING c > 1 ORDER BY c DESC',
    ],
  ],
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
  'a difference of dates': [
    ['SELECT day - CAST(ts AS DATE) AS a FROM t'],
    [
      "SELECT CAST(EXTRACT(DAY FROM (date_trunc('day', ts) - date_trunc('day', ts))) AS INTEGER) AS a FROM t",
    ],
  ],
  'a date with an interval': [
    [
      "SELECT day + INTERVAL '1' DAY AS a FROM t",
      "SELECT CAST(ts AS DATE) - INTERVAL '1' MONTH AS a FROM t",
    ],
    ["SELECT CAST(day AS TIMESTAMP) + INTERVAL '1' DAY AS a, ts - INTERVAL '1' MONTH AS b FROM t"],
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
    ['SELECT SUM(x) OVER (ORDER BY ts DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM t'],
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
  'trim of other characters than spaces': [
    ["SELECT ltrim(v, 'a') AS a FROM t", "SELECT trim(BOTH 'a' FROM v) AS a FROM t"],
    ["SELECT trim(v) AS a, replace(v, 'a', '') AS b FROM t"],
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
      "SELECT v || 'x' AS a, concat_ws('', v, v) AS b, ln(abs(x)) AS c, v LIKE 'a%' AS e, v NOT ILIKE 'b' AS f, COALESCE(v, '') AS g FROM t",
      'SELECT COUNT(*) FILTER (WHERE n > 1) AS a, CAST(GROUPING(n) AS INTEGER) AS b, MAX(x) AS c, max_by(v, x) AS e FROM t GROUP BY ROLLUP (n)',
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
      'SELECT GROUPING(n) AS a FROM t GROUP BY ROLLUP (n)',
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
  'count()': [['SELECT count() AS a FROM t'], ["SELECT COUNT(*) AS a, 'count()' AS b FROM t"]],
  'FROM before SELECT': [
    ['FROM t', '-- all\nFROM t SELECT n', 'SELECT n FROM (FROM t) AS q'],
    ['SELECT n FROM t'],
  ],
};

/** Of each function that counts as portable, SQL with it, by the name that DuckDB's parser gives it. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  '+': 'SELECT n, n + 1 AS a, x + 0.25 AS b FROM t',
  '-': 'SELECT n, -n AS a, x - 1 AS b, CAST(d - 1 AS DECIMAL(18, 2)) AS c FROM t',
  '*': 'SELECT n, n * 2 AS a, x * 3 AS b, CAST(d * n AS DECIMAL(18, 2)) AS c FROM t',
  '/': 'SELECT n, n / 4 AS a, x / NULLIF(n, 0) AS b FROM t',
  '%': 'SELECT n, n % 4 AS a, n % -3 AS b FROM t',
  '||': "SELECT v || '-' || v AS a, 'x' || CAST(n AS STRING) AS b FROM t",
  '~~': "SELECT v, v LIKE '%n' AS a, v LIKE 'B_c' AS b FROM t",
  '!~~': "SELECT v, v NOT LIKE '%c' AS a FROM t",
  '~~*': "SELECT v, v ILIKE 'b%' AS a FROM t",
  '!~~*': "SELECT v, v NOT ILIKE 'A' AS a FROM t",
  abs: 'SELECT n, abs(n) AS a, abs(x) AS b, CAST(abs(d) AS DECIMAL(18, 2)) AS c FROM t',
  ceil: 'SELECT n, CAST(ceil(x) AS BIGINT) AS a FROM t',
  ceiling: 'SELECT n, CAST(ceiling(x) AS BIGINT) AS a FROM t',
  floor: 'SELECT n, CAST(floor(x) AS BIGINT) AS a, CAST(floor(d) AS BIGINT) AS b FROM t',
  round: 'SELECT n, CAST(round(d, 1) AS DECIMAL(18, 1)) AS a, round(x) AS b FROM t',
  sign: 'SELECT n, CAST(sign(n) AS INTEGER) AS a, CAST(sign(x) AS INTEGER) AS b FROM t',
  sqrt: 'SELECT n, sqrt(abs(x)) AS a FROM t',
  power: 'SELECT n, power(x, 2) AS a FROM t',
  pow: 'SELECT n, pow(n, 3) AS a FROM t',
  exp: 'SELECT n, exp(n) AS a FROM t',
  ln: 'SELECT n, ln(abs(x)) AS a FROM t',
  log10: 'SELECT n, log10(abs(x)) AS a FROM t',
  mod: 'SELECT n, mod(n, 4) AS a FROM t',
  greatest: 'SELECT n, greatest(n, 3) AS a, greatest(d, CAST(1 AS DECIMAL(10, 2))) AS b FROM t',
  least: "SELECT n, least(n, 3) AS a, least(ts, TIMESTAMP '2026-01-01 00:00:00') AS b FROM t",
  nullif: "SELECT n, nullif(n, 1) AS a, nullif(v, 'a') AS b FROM t",
  lower: 'SELECT lower(v) AS a FROM t',
  upper: 'SELECT upper(v) AS a FROM t',
  trim: "SELECT trim(' ' || v || '  ') AS a FROM t",
  ltrim: "SELECT ltrim(' ' || v || '  ') || '.' AS a FROM t",
  rtrim: "SELECT rtrim(' ' || v || '  ') || '.' AS a FROM t",
  length: 'SELECT v, CAST(length(v) AS INTEGER) AS a FROM t',
  char_length: 'SELECT v, CAST(char_length(v) AS INTEGER) AS a FROM t',
  substr: 'SELECT substr(v, 2, 3) AS a, substr(v, 2) AS b FROM t',
  substring: 'SELECT substring(v, 2, 3) AS a, substring(v FROM 2 FOR 1) AS b FROM t',
  replace: "SELECT replace(v, 'r', 'rr') AS a FROM t",
  concat_ws: "SELECT concat_ws('-', v, 'x', v) AS a FROM t",
  chr: 'SELECT n, chr(39) AS a FROM t',
  lpad: "SELECT lpad(v, 4, '*') AS a FROM t",
  rpad: "SELECT rpad(v, 4, '*') AS a FROM t",
  left: 'SELECT left(v, 2) AS a FROM t',
  right: 'SELECT right(v, 2) AS a FROM t',
  repeat: 'SELECT repeat(v, 3) AS a FROM t',
  contains: "SELECT v, contains(v, 'r') AS a FROM t",
  instr: "SELECT v, CAST(instr(v, 'c') AS INTEGER) AS a FROM t",
  date_trunc:
    "SELECT date_trunc('year', ts) AS a, date_trunc('quarter', ts) AS b, date_trunc('month', ts) AS c, date_trunc('week', ts) AS e, date_trunc('day', ts) AS f, date_trunc('hour', ts) AS g, date_trunc('minute', ts) AS h FROM t",
  date_part:
    'SELECT ts, CAST(EXTRACT(YEAR FROM ts) AS INTEGER) AS a, CAST(EXTRACT(QUARTER FROM ts) AS INTEGER) AS b, CAST(EXTRACT(MONTH FROM day) AS INTEGER) AS c, CAST(EXTRACT(WEEK FROM day) AS INTEGER) AS e, CAST(EXTRACT(DAY FROM ts) AS INTEGER) AS f, CAST(EXTRACT(HOUR FROM ts) AS INTEGER) AS g, CAST(EXTRACT(MINUTE FROM ts) AS INTEGER) AS h FROM t',
  year: 'SELECT day, CAST(year(day) AS INTEGER) AS a FROM t',
  quarter: 'SELECT day, CAST(quarter(day) AS INTEGER) AS a FROM t',
  month: 'SELECT day, CAST(month(ts) AS INTEGER) AS a FROM t',
  day: 'SELECT day, CAST(day(ts) AS INTEGER) AS a FROM t',
  hour: 'SELECT day, CAST(hour(ts) AS INTEGER) AS a FROM t',
  minute: 'SELECT day, CAST(minute(ts) AS INTEGER) AS a FROM t',
  make_date: 'SELECT n, make_date(2026, 2, 28) AS a FROM t',
  last_day: 'SELECT day, last_day(day) AS a FROM t',
  to_years: "SELECT ts, ts + INTERVAL '1' YEAR AS a FROM t",
  to_months: "SELECT ts, ts + INTERVAL '1' MONTH AS a, ts - INTERVAL 1 MONTH AS b FROM t",
  to_days: "SELECT ts, ts + INTERVAL '30' DAY AS a FROM t",
  to_hours: "SELECT ts, ts + INTERVAL '30' HOUR AS a FROM t",
  to_minutes: "SELECT ts, ts + INTERVAL '90' MINUTE AS a FROM t",
  to_seconds: "SELECT ts, ts + INTERVAL '90' SECOND AS a FROM t",
  count: 'SELECT COUNT(x) AS a, COUNT(DISTINCT v) AS b FROM t',
  count_star: 'SELECT n, COUNT(*) AS a FROM t GROUP BY n',
  sum: 'SELECT CAST(SUM(d) AS DECIMAL(18, 2)) AS a, CAST(SUM(n) AS BIGINT) AS b, SUM(x) AS c FROM t',
  avg: 'SELECT AVG(x) AS a, AVG(n) AS b FROM t',
  min: 'SELECT MIN(d) AS a, MIN(v) AS b, MIN(ts) AS c FROM t',
  max: 'SELECT MAX(d) AS a, MAX(v) AS b, MAX(ts) AS c FROM t',
  bool_and: 'SELECT bool_and(n > -10) AS a FROM t',
  bool_or: 'SELECT bool_or(n > 5) AS a FROM t',
  min_by: 'SELECT min_by(v, ts) AS a FROM t WHERE v IS NOT NULL',
  max_by: 'SELECT max_by(n, d) AS a FROM t WHERE n IS NOT NULL',
  quantile_disc:
    'SELECT percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(d AS DOUBLE)) AS a, percentile_disc(0.5) WITHIN GROUP (ORDER BY CAST(x AS DOUBLE)) AS b FROM t',
  stddev: 'SELECT stddev(x) AS a FROM t',
  stddev_samp: 'SELECT stddev_samp(n) AS a FROM t',
  stddev_pop: 'SELECT stddev_pop(n) AS a FROM t',
  variance: 'SELECT variance(n) AS a FROM t',
  var_samp: 'SELECT var_samp(n) AS a FROM t',
  var_pop: 'SELECT var_pop(n) AS a FROM t',
  corr: 'SELECT corr(x, n) AS a FROM t',
  covar_pop: 'SELECT covar_pop(x, n) AS a FROM t',
  covar_samp: 'SELECT covar_samp(x, n) AS a FROM t',
  row_number: ranked('row_number()'),
  rank: ranked('rank()'),
  dense_rank: ranked('dense_rank()'),
  ntile: ranked('ntile(2)'),
  percent_rank: `SELECT v, percent_rank() OVER (PARTITION BY l IS NULL ORDER BY x NULLS LAST) AS a FROM t`,
  cume_dist: `SELECT v, cume_dist() OVER (PARTITION BY l IS NULL ORDER BY x NULLS LAST) AS a FROM t`,
  lag: window('lag(x, 1)'),
  lead: window('lead(v)'),
  first_value: window('first_value(v)'),
  last_value: window('last_value(x)'),
  nth_value: window('nth_value(v, 2)'),
};

function ranked(call: string): string {
  return `SELECT n, v, CAST(${call} OVER (PARTITION BY l IS NULL ORDER BY ts DESC, n NULLS LAST) AS BIGINT) AS a FROM t`;
}

function window(call: string): string {
  return `SELECT n, v, ${call} OVER (PARTITION BY l IS NULL ORDER BY ts DESC) AS a FROM t`;
}
