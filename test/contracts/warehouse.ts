import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { must } from '../../src/lib/must.ts';
import type { SqlColumn, SqlValue } from '../../src/ports/sql-engine.ts';
import type {
  FileRelation,
  StepResult,
  Warehouse,
  WarehouseJob,
  WarehouseStep,
} from '../../src/ports/warehouse.ts';

type Event = Readonly<{ started: string }> | StepResult;
type Ran = Readonly<{ results: readonly StepResult[]; events: readonly Event[] }>;

/** So many that a statement is well under way, on several threads, before it meets the bad one. */
const MANY = 1_200_000;
const BAD_ROW = 1_000_000;

/** Every type that the lake has, each at its limits; the SQL is DuckDB's, which writes the file. */
const EVERY_TYPE: readonly Readonly<{
  name: string;
  type: string;
  values: readonly [string, string, string];
}>[] = [
  { name: 'id', type: 'INTEGER', values: ['1', '2', '3'] },
  { name: 'flag', type: 'BOOLEAN', values: ['true', 'false', 'NULL'] },
  { name: 'small', type: 'SMALLINT', values: ['-32768', '32767', 'NULL'] },
  { name: 'whole', type: 'INTEGER', values: ['-2147483648', '2147483647', 'NULL'] },
  {
    name: 'big',
    type: 'BIGINT',
    values: ["'-9223372036854775808'", "'9223372036854775807'", 'NULL'],
  },
  { name: 'real', type: 'FLOAT', values: ['0.1', "'-Infinity'", 'NULL'] },
  { name: 'double', type: 'DOUBLE', values: ['1.7976931348623157e308', "'NaN'", 'NULL'] },
  { name: 'money', type: 'DECIMAL(10,2)', values: ['0.10', '-99999999.99', 'NULL'] },
  {
    name: 'wide',
    type: 'DECIMAL(38,9)',
    values: [
      "'99999999999999999999999999999.999999999'",
      "'-99999999999999999999999999999.999999999'",
      'NULL',
    ],
  },
  { name: 'day', type: 'DATE', values: ["'0001-01-01'", "'9999-12-31'", 'NULL'] },
  {
    name: 'at',
    type: 'TIMESTAMP',
    values: ["'1582-10-10 10:20:30.000001'", "'9999-12-31 23:59:59.999999'", 'NULL'],
  },
  {
    name: 'at_zone',
    type: 'TIMESTAMPTZ',
    values: ["'2026-03-29 23:30:00.5+00'", "'1969-12-31 23:59:59.999999+00'", 'NULL'],
  },
  {
    name: 'text',
    type: 'VARCHAR',
    values: ["'Zażółć 😀 𝕊 \"x\" \\ ''y''' || chr(10) || 'z'", "''", 'NULL'],
  },
  { name: 'bytes', type: 'BLOB', values: ["'\\x00\\xFFa'", "''", 'NULL'] },
  { name: 'numbers', type: 'INTEGER[]', values: ['[1, NULL, 3]', '[]', 'NULL'] },
  { name: 'texts', type: 'VARCHAR[]', values: ["['a', '', NULL, 'ż']", "['b']", 'NULL'] },
  { name: 'prices', type: 'DECIMAL(10,2)[]', values: ['[0.10, 2]', '[]', 'NULL'] },
  { name: 'two words', type: 'VARCHAR', values: ["'a'", "'b'", 'NULL'] },
  { name: 'say "it"', type: 'VARCHAR', values: ["'c'", "'d'", 'NULL'] },
  { name: 'Größe', type: 'BIGINT', values: ['1', '2', 'NULL'] },
];

/**
 * What every `Warehouse` must do. `open` gives one, with room to work in `dir`, a folder of its
 * own; opening and each run may be slow, so that most is asked of one job.
 */
export function warehouseContract(
  name: string,
  open: (dir: string) => Promise<Warehouse>,
  { skip = false }: Readonly<{ skip?: boolean | string }> = {},
): void {
  describe(`${name} keeps the contract of Warehouse`, { skip }, () => {
    const resources = new AsyncDisposableStack();
    let place: Place;
    let warehouse: Warehouse;
    let ran: Ran;

    before(async () => {
      place = resources.use(await Place.make());
      warehouse = resources.use(await open(join(place.dir, 'work')));
      ran = await run(warehouse, await largeJob(place));
    });
    after(() => resources.disposeAsync());

    const resultOf = (step: string): StepResult =>
      must(
        ran.results.find((each) => each.name === step),
        'every step has a result',
      );
    const doneOf = (step: string) => {
      const result = resultOf(step);
      assert.ok(result.outcome === 'done', JSON.stringify(result));
      return result;
    };
    const failureOf = (step: string) => {
      const result = resultOf(step);
      assert.ok(result.outcome === 'failed', JSON.stringify(result));
      return result;
    };
    const rowsOf = (step: string) => place.rowsIn(doneOf(step).files);

    test('says what it is', () => {
      assert.match(warehouse.description, /^\w+ \d+\.\d+/);
    });

    test('gives every step one result, in the order of the job', () => {
      assert.deepEqual(
        ran.results.map((result) => result.name),
        ran.events.flatMap((event) => ('name' in event ? [event.name] : [])),
      );
      assert.deepEqual(
        ran.results,
        ran.events.filter((event) => 'name' in event),
      );
      assert.ok(ran.results.every(({ seconds }) => seconds >= 0 && seconds < 300));
    });

    test('tells that a step starts before its result, one at a time, and nothing of a start of what is skipped', () => {
      const expected = ran.results.flatMap((result) =>
        result.outcome === 'skipped' ? [result.name] : [`${result.name} starts`, result.name],
      );
      const told = ran.events.map((event) =>
        'started' in event ? `${event.started} starts` : event.name,
      );
      assert.deepEqual(told, expected);
    });

    test('keeps values of every type, nulls, and names of columns as they are', async () => {
      const { rows, columns } = doneOf('every_type_again');
      assert.equal(rows, 3);
      assert.deepEqual(columns, columnsOf(EVERY_TYPE));
      assert.deepEqual(await rowsOf('every_type_again'), await place.rowsIn(place.everyType));
    });

    test('reckons in UTC', async () => {
      assert.deepEqual(await rowsOf('utc_days'), [
        [1, '2026-03-29', '2026-03-29 23:30:00.5'],
        [2, '1969-12-31', '1969-12-31 23:59:59.999999'],
        [3, null, null],
      ]);
    });

    test('reads all files of a relation, whatever the folders are called that they are in', async () => {
      const { rows, columns } = doneOf('joined_parts');
      assert.equal(rows, 30);
      assert.deepEqual(columns, [
        { name: 'k', type: 'BIGINT' },
        { name: 'v', type: 'VARCHAR' },
      ]);
      const keys = Array.from({ length: 30 }, (_, index) => 29 - index);
      assert.deepEqual(
        await rowsOf('joined_parts'),
        keys.map((k) => [k, `v${k}`]),
      );
    });

    test('gives a relation without files no rows, of the columns declared', () => {
      const { rows, columns } = doneOf('of_nothing');
      assert.equal(rows, 0);
      assert.deepEqual(columns, columnsOf(EVERY_TYPE));
    });

    test('takes an empty result for a result', async () => {
      const { rows, columns } = doneOf('empty');
      assert.equal(rows, 0);
      assert.deepEqual(columns, [{ name: 'k', type: 'BIGINT' }]);
      if (doneOf('empty').files.length > 0) assert.deepEqual(await rowsOf('empty'), []);
    });

    test('lets a step read a table before it, its empty ones too', async () => {
      assert.deepEqual(await rowsOf('of_empty'), [[0]]);
      assert.deepEqual(await rowsOf('of_table'), [[30, 435]]);
    });

    test('lets a step read a view before it, which writes nothing', async () => {
      const { rows, files, columns } = doneOf('doubled');
      assert.deepEqual({ rows, files }, { rows: 0, files: [] });
      assert.deepEqual(columns, [
        { name: 'k', type: 'BIGINT' },
        { name: 'd', type: 'BIGINT' },
      ]);
      assert.deepEqual(await rowsOf('of_view'), [[870]]);
    });

    test('sums whole numbers to BIGINT', () => {
      assert.deepEqual(doneOf('of_view').columns, [{ name: 'total', type: 'BIGINT' }]);
    });

    test('keeps the order of ORDER BY through the files in their order', async () => {
      const { rows } = doneOf('ordered');
      assert.equal(rows, MANY);
      assert.equal(await place.outOfOrder(doneOf('ordered').files), 0);
    });

    test('names all that a table wrote, in its own folder, as absolute paths', async () => {
      for (const step of ['every_type_again', 'joined_parts', 'ordered']) {
        const { files } = doneOf(step);
        const there = await readdir(place.folderOf(step));
        assert.deepEqual(
          files.toSorted(),
          there.map((file) => join(place.folderOf(step), file)).toSorted(),
        );
      }
    });

    test('fails a step at a value deep in the data, and leaves no file of it', async () => {
      assert.match(failureOf('fails_late').problem, /twelve/);
      assert.deepEqual(await place.filesOf('fails_late'), []);
    });

    test('goes on with the steps that do not come after the failed one', () => {
      assert.equal(resultOf('of_view').outcome, 'done');
      assert.equal(resultOf('last').outcome, 'done');
    });

    test('skips what comes after a failed step, and what comes after that', async () => {
      for (const [step, because] of [
        ['after_failure', 'fails_late'],
        ['after_skipped', 'after_failure'],
        ['after_both', 'fails_late'],
        ['after_failed_view', 'failed_view'],
      ] as const) {
        const result = resultOf(step);
        assert.ok(result.outcome === 'skipped', JSON.stringify(result));
        assert.equal(result.because, because);
        assert.deepEqual(await place.filesOf(step), []);
      }
    });

    test('says what is wrong with a statement, in few lines and without a stack', () => {
      for (const [step, mention, line] of [
        ['wrong_column', /wrong_name/, 3],
        ['wrong_table', /no_such_table/, 1],
        ['wrong_syntax', /syntax|parse/i, undefined],
      ] as const) {
        const failure = failureOf(step);
        assert.match(failure.problem, mention);
        assert.doesNotMatch(failure.problem, /^\s+at |Traceback|\.scala:|LINE \d|\^/m);
        assert.ok(failure.problem.split('\n').length <= 5, failure.problem);
        if (line !== undefined && failure.line !== undefined) assert.equal(failure.line, line);
      }
    });

    test('refuses two columns of one name', async () => {
      assert.match(failureOf('same_names').problem, /\bA\b|\ba\b/);
      assert.deepEqual(await place.filesOf('same_names'), []);
    });

    test('names the file that is damaged or missing, and fails only the steps that read it', async () => {
      assert.match(failureOf('of_truncated').problem, /truncated\.parquet/);
      assert.match(failureOf('of_missing').problem, /missing\.parquet/);
      for (const step of ['of_truncated', 'of_missing'])
        assert.deepEqual(await place.filesOf(step), []);
    });

    test('passes a check that finds nothing, and writes nothing for it', async () => {
      const { rows, files } = doneOf('check_nothing');
      assert.deepEqual({ rows, files }, { rows: 0, files: [] });
      assert.deepEqual(await place.filesOf('check_nothing'), []);
      assert.equal(resultOf('after_check_nothing').outcome, 'done');
    });

    test('counts all that a check finds, keeps the first rows, and goes on after a warning', async () => {
      assert.equal(doneOf('check_warning').rows, 30);
      assert.deepEqual(await rowsOf('check_warning'), [
        [29, 'v29'],
        [28, 'v28'],
        [27, 'v27'],
      ]);
      assert.equal(resultOf('after_check_warning').outcome, 'done');
    });

    test('skips what comes after a check of severity error that found something', async () => {
      assert.equal(doneOf('check_error').rows, 2);
      assert.deepEqual(await rowsOf('check_error'), [
        [0, 'v0'],
        [1, 'v1'],
      ]);
      const skipped = resultOf('after_check_error');
      assert.ok(skipped.outcome === 'skipped', JSON.stringify(skipped));
      assert.equal(skipped.because, 'check_error');
    });

    test('fails a check that cannot be asked, whatever its severity', async () => {
      assert.match(failureOf('check_failing').problem, /twelve/);
      assert.deepEqual(await place.filesOf('check_failing'), []);
      assert.equal(resultOf('after_check_failing').outcome, 'skipped');
    });

    test('writes nowhere but into the folders of steps', async () => {
      const known = new Set(ran.results.map((result) => result.name));
      assert.deepEqual(
        (await place.folders()).filter((folder) => !known.has(folder)),
        [],
      );
    });

    test('starts nothing when it is aborted already', async () => {
      const events: Event[] = [];
      const reason = new Error('told to stop');
      const job = { relations: [], steps: [table(place, 'never', 'SELECT 1 AS one')] };
      await assert.rejects(
        warehouse.run(job, (event) => events.push(event), AbortSignal.abort(reason)),
        (error) => error === reason,
      );
      assert.deepEqual(events, []);
      assert.deepEqual(await place.filesOf('never'), []);
    });

    test('ends amid a step when it is aborted, and serves the next job', async () => {
      const relations = [place.relation('numbers', NUMBERS, place.numbers)];
      const endless = table(
        place,
        'endless',
        'SELECT COUNT(*) AS n FROM numbers a CROSS JOIN numbers b WHERE a.n * b.n = 7',
      );
      const stop = new AbortController();
      const reason = new Error('told to stop');
      const stopped = warehouse.run(
        {
          relations,
          steps: [endless, table(place, 'after_endless', 'SELECT 1 AS one', ['endless'])],
        },
        (event) => {
          if ('started' in event && event.started === 'endless')
            setTimeout(() => stop.abort(reason), 300);
        },
        stop.signal,
      );
      await assert.rejects(stopped, (error) => error === reason);
      assert.deepEqual(await place.filesOf('after_endless'), []);

      const steps = [table(place, 'next_job', 'SELECT COUNT(*) AS n FROM numbers')];
      const next = await run(warehouse, { relations, steps });
      const [result] = next.results;
      assert.ok(result?.outcome === 'done', JSON.stringify(result));
      assert.deepEqual(await place.rowsIn(result.files), [[MANY]]);
    });
  });
}

const NUMBERS: readonly SqlColumn[] = [
  { name: 'n', type: 'BIGINT' },
  { name: 'text', type: 'VARCHAR' },
];
const PARTS: readonly SqlColumn[] = [
  { name: 'k', type: 'BIGINT' },
  { name: 'v', type: 'VARCHAR' },
];

async function largeJob(place: Place): Promise<WarehouseJob> {
  const everyType = columnsOf(EVERY_TYPE);
  const relations: FileRelation[] = [
    place.relation('every_type', everyType, place.everyType),
    place.relation('nothing', everyType, []),
    place.relation('parts', PARTS, place.parts),
    place.relation('numbers', NUMBERS, place.numbers),
    place.relation('truncated', PARTS, [await place.truncated()]),
    place.relation('missing', PARTS, [join(place.dir, 'in', 'missing.parquet')]),
  ];
  const bad = 'SELECT n, CAST(text AS INTEGER) AS parsed FROM numbers';
  const steps: WarehouseStep[] = [
    table(place, 'every_type_again', 'SELECT * FROM every_type ORDER BY id'),
    table(
      place,
      'utc_days',
      'SELECT id, CAST(at_zone AS DATE) AS d, CAST(CAST(at_zone AS TIMESTAMP) AS TIMESTAMP) AS t FROM every_type ORDER BY id',
    ),
    table(place, 'joined_parts', 'SELECT k, v FROM parts ORDER BY k DESC'),
    table(place, 'of_nothing', 'SELECT * FROM nothing'),
    table(place, 'empty', 'SELECT k FROM parts WHERE k < 0'),
    table(place, 'of_empty', 'SELECT COUNT(*) AS n FROM empty', ['empty']),
    table(place, 'of_table', 'SELECT COUNT(*) AS n, SUM(k) AS total FROM joined_parts', [
      'joined_parts',
    ]),
    {
      kind: 'view',
      name: 'doubled',
      sql: 'SELECT k, k * 2 AS d FROM joined_parts',
      after: ['joined_parts'],
    },
    table(place, 'ordered', 'SELECT n % 7 AS g, n FROM numbers ORDER BY g DESC NULLS LAST, n'),
    table(place, 'fails_late', bad),
    table(place, 'after_failure', 'SELECT * FROM fails_late', ['fails_late']),
    table(place, 'after_skipped', 'SELECT * FROM after_failure', ['after_failure']),
    table(place, 'after_both', 'SELECT 1 AS one', ['joined_parts', 'fails_late']),
    table(place, 'of_view', 'SELECT SUM(d) AS total FROM doubled', ['doubled']),
    { kind: 'view', name: 'failed_view', sql: 'SELECT wrong_name FROM parts', after: [] },
    table(place, 'after_failed_view', 'SELECT * FROM failed_view', ['failed_view']),
    table(place, 'wrong_column', 'SELECT k,\n  v,\n  wrong_name\nFROM parts'),
    table(place, 'wrong_table', 'SELECT * FROM no_such_table'),
    table(place, 'wrong_syntax', 'SELECT k k k FROM FROM'),
    table(place, 'same_names', 'SELECT k AS a, v AS A FROM parts'),
    table(place, 'of_truncated', 'SELECT * FROM truncated'),
    table(place, 'of_missing', 'SELECT * FROM missing'),
    check(place, 'check_nothing', 'SELECT k FROM parts WHERE k IS NULL', 'error'),
    table(place, 'after_check_nothing', 'SELECT 1 AS one', ['check_nothing']),
    check(place, 'check_warning', 'SELECT k, v FROM joined_parts ORDER BY k DESC', 'warn'),
    table(place, 'after_check_warning', 'SELECT 1 AS one', ['check_warning']),
    check(place, 'check_error', 'SELECT k, v FROM parts WHERE k < 2 ORDER BY k', 'error'),
    table(place, 'after_check_error', 'SELECT 1 AS one', ['check_error']),
    check(place, 'check_failing', `${bad} WHERE CAST(text AS INTEGER) < 0`, 'warn'),
    table(place, 'after_check_failing', 'SELECT 1 AS one', ['check_failing']),
    table(place, 'last', 'SELECT MAX(k) AS k FROM parts'),
  ];
  return { relations, steps };
}

function table(
  place: Place,
  name: string,
  sql: string,
  after: readonly string[] = [],
): WarehouseStep {
  return { kind: 'table', name, sql, after, directory: place.folderOf(name) };
}

function check(place: Place, name: string, sql: string, severity: 'warn' | 'error'): WarehouseStep {
  return {
    kind: 'check',
    name,
    sql,
    after: [],
    severity,
    keep: 3,
    directory: place.folderOf(name),
  };
}

async function run(warehouse: Warehouse, job: WarehouseJob): Promise<Ran> {
  const events: Event[] = [];
  const { signal } = new AbortController();
  const results = await warehouse.run(job, (event) => events.push(event), signal);
  return { results, events };
}

function columnsOf(columns: readonly SqlColumn[]): SqlColumn[] {
  return columns.map(({ name, type }) => ({ name, type }));
}

/** A folder with the files that jobs read and write, and an engine that makes and reads them. */
class Place implements AsyncDisposable {
  readonly dir: string;
  readonly everyType: readonly string[];
  readonly numbers: readonly string[];
  readonly parts: readonly string[];
  readonly #engine: DuckDbEngine;

  private constructor(dir: string, engine: DuckDbEngine) {
    this.dir = dir;
    this.#engine = engine;
    this.everyType = [join(dir, 'in', 'every-type.parquet')];
    this.numbers = [join(dir, 'in', 'numbers.parquet')];
    this.parts = ['day=2026-11-22', 'day=2026-11-23', "k=it's"].map((folder) =>
      join(dir, 'in', folder, 'part.parquet'),
    );
  }

  static async make(): Promise<Place> {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-warehouse-'));
    const engine = await DuckDbEngine.open({
      memoryLimit: '256MB',
      tempDirectory: join(dir, 'engine'),
    });
    const place = new Place(dir, engine);
    await place.#fill();
    return place;
  }

  relation(name: string, columns: readonly SqlColumn[], files: readonly string[]): FileRelation {
    return { name, files, columns };
  }

  folderOf(step: string): string {
    return join(this.dir, 'out', 'models', step);
  }

  async filesOf(step: string): Promise<string[]> {
    return readdir(this.folderOf(step), { recursive: true }).catch(() => []);
  }

  /** Of steps that wrote something. */
  async folders(): Promise<string[]> {
    assert.deepEqual(await readdir(join(this.dir, 'out')), ['models']);
    return readdir(join(this.dir, 'out', 'models'));
  }

  async rowsIn(files: readonly string[]): Promise<readonly (readonly SqlValue[])[]> {
    return (await this.#engine.query(`SELECT * FROM ${this.#reading(files)}`)).rows;
  }

  /** How many rows of `g DESC, n` do not come after the row before. */
  async outOfOrder(files: readonly string[]): Promise<number> {
    let before: readonly [number, number] = [Infinity, -Infinity];
    let found = 0;
    for await (const { rows } of this.#engine.read(`SELECT g, n FROM ${this.#reading(files)}`))
      for (const [g, n] of rows) {
        const row = [Number(g), Number(n)] as const;
        if (row[0] > before[0] || (row[0] === before[0] && row[1] <= before[1])) found++;
        before = row;
      }
    return found;
  }

  /** One that ends in the middle of its data. */
  async truncated(): Promise<string> {
    const file = join(this.dir, 'in', 'truncated.parquet');
    await this.#write(
      file,
      'SELECT range AS k, md5(CAST(range AS VARCHAR)) AS v FROM range(10000)',
    );
    await truncate(file, 50_000);
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #fill(): Promise<void> {
    const selects = [0, 1, 2].map((row) => {
      const values = EVERY_TYPE.map(
        ({ name, type, values: { [row]: value = 'NULL' } }) =>
          `CAST(${value} AS ${type}) AS "${name.replaceAll('"', '""')}"`,
      );
      return `SELECT ${values.join(', ')}`;
    });
    await this.#write(must(this.everyType[0], 'set'), selects.join(' UNION ALL '));
    const text = `CASE WHEN range = ${BAD_ROW} THEN 'twelve' ELSE '12' END AS text`;
    await this.#write(
      must(this.numbers[0], 'set'),
      `SELECT range AS n, ${text} FROM range(${MANY})`,
    );
    for (const [index, file] of this.parts.entries())
      await this.#write(
        file,
        `SELECT range AS k, 'v' || range AS v FROM range(${index * 10}, ${index * 10 + 10})`,
      );
  }

  async #write(file: string, sql: string): Promise<void> {
    await mkdir(dirname(file), { recursive: true });
    await this.#engine.run(
      `COPY (${sql}) TO '${file.replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`,
    );
  }

  #reading(files: readonly string[]): string {
    const paths = files.map((file) => `'${file.replaceAll("'", "''")}'`);
    return `read_parquet([${paths.join(', ')}], hive_partitioning = false)`;
  }
}
