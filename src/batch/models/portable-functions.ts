/*
 * What of SQL's functions DuckDB and Spark agree on, by the names that DuckDB's parser gives them.
 * Each is tried on DuckDB and Spark in `test/stack/spark-portable-sql.test.ts`.
 */

/** Functions and operators that give the same on both. */
export const PORTABLE_FUNCTIONS: ReadonlySet<string> = new Set(
  `+ - * / % || ~~ !~~ ~~* !~~*
  abs ceil ceiling floor round sign sqrt power pow exp ln log10 mod greatest least nullif
  lower upper trim ltrim rtrim length char_length substring substr replace concat_ws chr lpad rpad
  left right repeat contains instr
  date_trunc date_part year quarter month day hour minute make_date last_day
  to_years to_months to_days to_hours to_minutes to_seconds
  count count_star sum avg min max bool_and bool_or min_by max_by quantile_disc
  stddev stddev_samp stddev_pop variance var_samp var_pop corr covar_pop covar_samp
  row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value`.split(
    /\s+/,
  ),
);

const RANK_FORM = 'percentile_disc(0.8) WITHIN GROUP (ORDER BY CAST(x AS DOUBLE))';
const DAYS_FORM = "EXTRACT(DAY FROM (date_trunc('day', a) - date_trunc('day', b)))";
const NO_REGEX = 'LIKE or ILIKE';
const NO_NESTED = 'rows of their own, or dialect: duckdb';
const NOW = '{{ run_started_at }}';

/** By function: what to write in its place. */
export const FORMS: Readonly<Record<string, string>> = {
  '//': 'CAST(FLOOR(a / NULLIF(b, 0)) AS BIGINT)',
  '**': 'power(a, b)',
  '^': 'power(a, b)',
  '~~~': NO_REGEX,
  '->': NO_NESTED,
  '->>': NO_NESTED,
  divide: 'CAST(FLOOR(a / NULLIF(b, 0)) AS BIGINT)',
  trunc: 'FLOOR or CEIL',
  concat: "a || b, or concat_ws('', a, b)",
  log: 'ln(x) or log10(x)',
  log2: 'ln(x) / ln(2)',
  quantile: RANK_FORM,
  quantile_cont: RANK_FORM,
  median: RANK_FORM,
  mode: 'COUNT(*) by value, and max_by',
  approx_quantile: RANK_FORM,
  approx_count_distinct: 'COUNT(DISTINCT x)',
  string_agg: 'a row each',
  group_concat: 'a row each',
  listagg: 'a row each',
  list: 'a row each',
  array_agg: 'a row each',
  first: 'min_by(x, order) or max_by(x, order)',
  last: 'min_by(x, order) or max_by(x, order)',
  any_value: 'MIN(x) or MAX(x)',
  arbitrary: 'MIN(x) or MAX(x)',
  arg_min: 'min_by(x, order)',
  arg_max: 'max_by(x, order)',
  date_diff: DAYS_FORM,
  datediff: DAYS_FORM,
  date_sub: DAYS_FORM,
  datesub: DAYS_FORM,
  age: DAYS_FORM,
  date_add: "d + INTERVAL '6' DAY",
  dayofweek: 'days since a Monday, modulo 7',
  isodow: 'days since a Monday, modulo 7',
  epoch: 'a difference of days',
  epoch_ms: 'a difference of days',
  strftime: 'EXTRACT(YEAR FROM x) and the like',
  strptime: 'CAST(x AS TIMESTAMP)',
  to_timestamp: 'CAST(x AS TIMESTAMP)',
  timezone: 'timestamps in UTC, as the lake has them',
  now: NOW,
  get_current_timestamp: NOW,
  get_current_time: NOW,
  current_localtimestamp: NOW,
  transaction_timestamp: NOW,
  today: `CAST(${NOW} AS DATE)`,
  random: 'something that every run finds again',
  uuid: 'something that every run finds again',
  gen_random_uuid: 'something that every run finds again',
  regexp_matches: NO_REGEX,
  regexp_full_match: NO_REGEX,
  regexp_replace: 'replace(x, a, b)',
  regexp_extract: NO_REGEX,
  strpos: 'instr(text, part)',
  position: 'instr(text, part)',
  starts_with: "x LIKE 'part%'",
  prefix: "x LIKE 'part%'",
  suffix: "x LIKE '%part'",
  ends_with: "x LIKE '%part'",
  split: NO_NESTED,
  string_split: NO_NESTED,
  list_value: NO_NESTED,
  struct_pack: NO_NESTED,
  row: NO_NESTED,
  map: NO_NESTED,
  unnest: NO_NESTED,
  printf: 'a || b',
  format: 'a || b',
};

/** By function whose whole numbers are of another width on Spark: the type to cast to. */
export const WIDTHS: Readonly<Record<string, string>> = {
  row_number: 'BIGINT',
  rank: 'BIGINT',
  dense_rank: 'BIGINT',
  ntile: 'BIGINT',
  date_part: 'INTEGER',
  year: 'INTEGER',
  quarter: 'INTEGER',
  month: 'INTEGER',
  day: 'INTEGER',
  hour: 'INTEGER',
  minute: 'INTEGER',
  length: 'INTEGER',
  char_length: 'INTEGER',
  instr: 'INTEGER',
  sign: 'INTEGER',
  floor: 'BIGINT',
  ceil: 'BIGINT',
  ceiling: 'BIGINT',
};
