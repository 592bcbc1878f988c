import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { smallDisk } from '../../../test/small-disk.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import type { SqlRows } from '../../ports/sql-engine.ts';
import { DuckDbEngine, type DuckDbOptions } from './engine.ts';

/** Runs until it is interrupted. */
const ENDLESS = 'SELECT sum(sin(range)) FROM range(1000000000000)';
/** Its row of many megabytes fits in no memory that tests grant, and can't be spilled. */
const TOO_LARGE = 'SELECT list(md5(range::VARCHAR) || md5(range::VARCHAR)) FROM range(5000000)';
/** More than fits in 64 MB. */
const SORTED =
  'SELECT * FROM (SELECT n, md5(n::VARCHAR) AS a, sha256(n::VARCHAR) AS b FROM range(600000) t(n)) ORDER BY a';
const TIGHT = { memoryLimit: '64MB', threads: 1 };

describe('DuckDbEngine gives values', () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ['true', 'BOOLEAN', true],
    ['NULL::DATE', 'DATE', null],
    ['1::TINYINT', 'TINYINT', 1],
    ['9007199254740991', 'BIGINT', 9007199254740991],
    ['9007199254740992', 'BIGINT', '9007199254740992'],
    ['-9223372036854775808', 'BIGINT', '-9223372036854775808'],
    ['sum(7)', 'HUGEINT', 7],
    ['1.50::DECIMAL(10,2)', 'DECIMAL(10,2)', '1.50'],
    ['0.1::FLOAT', 'FLOAT', 0.1],
    ['16777217::FLOAT', 'FLOAT', 16777216],
    ['3.4028235e38::FLOAT', 'FLOAT', 3.4028235e38],
    ["'NaN'::FLOAT", 'FLOAT', 'NaN'],
    ['0.1::DOUBLE', 'DOUBLE', 0.1],
    ["'-inf'::DOUBLE", 'DOUBLE', '-Infinity'],
    ["'ż\\😀'", 'VARCHAR', 'ż\\😀'],
    [`'{"a":1}'::JSON`, 'JSON', '{"a":1}'],
    ["'\\x00\\xFFa'::BLOB", 'BLOB', '\\x00ff61'],
    ["DATE '2026-11-23'", 'DATE', '2026-11-23'],
    ["'0044-03-15 (BC)'::DATE", 'DATE', '0044-03-15 BC'],
    ["'infinity'::DATE", 'DATE', 'infinity'],
    ["'-infinity'::DATE", 'DATE', '-infinity'],
    ["TIMESTAMP '2026-11-23 10:20:30.123456'", 'TIMESTAMP', '2026-11-23 10:20:30.123456'],
    ["TIMESTAMP '2026-11-23 10:20:30.50'", 'TIMESTAMP', '2026-11-23 10:20:30.5'],
    ["'0044-03-15 (BC) 01:02:03'::TIMESTAMP", 'TIMESTAMP', '0044-03-15 01:02:03 BC'],
    ["'-infinity'::TIMESTAMP", 'TIMESTAMP', '-infinity'],
    ["TIMESTAMPTZ '2026-11-23 10:20:30+05:30'", 'TIMESTAMPTZ', '2026-11-23 04:50:30+00'],
    ["'infinity'::TIMESTAMPTZ", 'TIMESTAMPTZ', 'infinity'],
    ["TIME '10:11:12.5'", 'TIME', '10:11:12.5'],
    ["INTERVAL '1 day 3 hours'", 'INTERVAL', '1 day 03:00:00'],
    ["'a'::ENUM('a', 'b')", "ENUM('a', 'b')", 'a'],
    [
      "'550e8400-e29b-41d4-a716-446655440000'::UUID",
      'UUID',
      '550e8400-e29b-41d4-a716-446655440000',
    ],
    ['[1, NULL]', 'INTEGER[]', [1, null]],
    ['[1.5, 2]::DECIMAL(3,1)[]', 'DECIMAL(3,1)[]', ['1.5', '2.0']],
    [
      "{'a': [DATE '2026-11-23'], 'b c': 1}",
      'STRUCT(a DATE[], "b c" INTEGER)',
      { a: ['2026-11-23'], 'b c': 1 },
    ],
    ["MAP {'a': 1}", 'MAP(VARCHAR, INTEGER)', [{ key: 'a', value: 1 }]],
  ];
  for (const [sql, type, value] of cases)
    test(`of ${type} as JSON has them: ${sql}`, async () => {
      await using engine = await opened();
      const { columns, rows } = await engine.query(`SELECT ${sql} AS value`);
      assert.deepEqual(columns, [{ name: 'value', type }]);
      assert.deepEqual(rows, [[value]]);
    });

  test('back that it was given as parameters', async () => {
    await using engine = await opened();
    const given = [1, 1.5, "it's", null, true, [1, 2.5, null], ['a'], { a: 1, b: ['x'] }, []];
    const names = given.map((_, index) => `$${index + 1}`);
    const { rows, columns } = await engine.query(`SELECT ${names.join(', ')}`, given);
    assert.deepEqual(rows, [given]);
    assert.deepEqual(
      columns.slice(0, 3).map(({ type }) => type),
      ['BIGINT', 'DOUBLE', 'VARCHAR'],
    );
  });

  test('under names that are equal, too', async () => {
    await using engine = await opened();
    const { columns, rows } = await engine.query('SELECT 1 AS a, 2 AS a');
    assert.deepEqual(
      columns.map(({ name }) => name),
      ['a', 'a'],
    );
    assert.deepEqual(rows, [[1, 2]]);
  });
});

describe('DuckDbEngine', () => {
  test('runs several statements, and tells how many rows the last one wrote', async () => {
    await using folder = await temporaryFolder();
    await using engine = await opened();
    assert.equal(
      await engine.run('CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3);'),
      3,
    );
    assert.equal(await engine.run('UPDATE t SET a = a + 1 WHERE a > 1'), 2);
    assert.equal(await engine.run(`COPY t TO '${folder.dir}/t.parquet'`), 3);
    assert.equal(await engine.run('CREATE TABLE u AS SELECT * FROM t WHERE a > 3'), 1);
    assert.equal(await engine.run('CREATE VIEW v AS SELECT * FROM u'), 0);
    assert.deepEqual((await engine.query('SELECT * FROM v')).rows, [[4]]);
  });

  test('runs statements that are asked at once one after another, in their order', async () => {
    await using engine = await opened();
    const made = engine.run('CREATE TABLE t AS SELECT range AS a FROM range(100000)');
    const doubled = engine.run('UPDATE t SET a = a * 2');
    const asked = engine.query('SELECT max(a) FROM t');
    const failing = engine.run('SELECT wrong');
    const after = engine.query('SELECT 1');
    await assert.rejects(failing);
    assert.deepEqual(await Promise.all([made, doubled]), [100000, 100000]);
    assert.deepEqual((await asked).rows, [[199998]]);
    assert.deepEqual((await after).rows, [[1]]);
  });

  test('has a statement wait for the end of what is read', async () => {
    await using engine = await opened();
    const order: string[] = [];
    const reading = (async () => {
      for await (const { rows } of engine.read('SELECT * FROM range(10000)'))
        order.push(`read ${rows.length}`);
    })();
    const after = engine.query('SELECT 1').then(() => order.push('asked'));
    await Promise.all([reading, after]);
    assert.equal(order.at(-1), 'asked');
    assert.ok(order.length > 3);
  });

  test('reads an empty result as one batch, which tells the columns', async () => {
    await using engine = await opened();
    const batches = await Array.fromAsync(engine.read('SELECT 1 AS a WHERE false'));
    assert.deepEqual(batches, [{ columns: [{ name: 'a', type: 'INTEGER' }], rows: [] }]);
  });

  test('reads far more than its memory holds, in order', async () => {
    await using engine = await opened({ memoryLimit: '64MB' });
    const sql = "SELECT range AS n, repeat('x', 1000) AS wide FROM range(300000)";
    let expected = 0;
    for await (const { rows } of engine.read(sql))
      for (const [n] of rows) if (n === expected) expected++;
    assert.equal(expected, 300_000);
  });

  test('goes on after a reader that left early', async () => {
    await using engine = await opened();
    for await (const { rows } of engine.read('SELECT * FROM range(10000000)')) {
      assert.ok(rows.length > 0);
      break;
    }
    assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
  });

  test('spills what does not fit, into a folder that it removes', async () => {
    await using folder = await temporaryFolder();
    const tempDirectory = join(folder.dir, 'made', 'here');
    const file = join(folder.dir, 'sorted.parquet');
    {
      await using engine = await DuckDbEngine.open({ ...TIGHT, tempDirectory });
      assert.equal(await engine.run(`COPY (${SORTED}) TO '${file}'`), 600_000);
      assert.equal((await readdir(tempDirectory)).length, 1);
    }
    assert.deepEqual(await readdir(tempDirectory), []);
  });

  test('works in UTC, loads no extension and reaches no network', async () => {
    await using engine = await opened();
    const { rows } = await engine.query("SELECT current_setting('TimeZone')");
    assert.deepEqual(rows, [['UTC']]);
    for (const sql of ['INSTALL httpfs', 'LOAD json'])
      await assert.rejects(engine.run(sql), failure('sql_failed', /Extensions are not loaded/));
    await assert.rejects(
      engine.query("SELECT * FROM 'http://localhost:1/x.parquet'"),
      failure('sql_failed', /httpfs/),
    );
  });

  test('works in worker threads, several at once', async () => {
    await using folder = await temporaryFolder();
    const program = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.engine).then(async ({ DuckDbEngine }) => {
        await using engine = await DuckDbEngine.open({ memoryLimit: '64MB', tempDirectory: workerData.dir });
        parentPort.postMessage((await engine.query('SELECT sum(range) FROM range(100000)')).rows);
      });`;
    const workerData = { engine: new URL('engine.ts', import.meta.url).href, dir: folder.dir };
    const ask = () =>
      new Promise<unknown>((resolve, reject) => {
        const worker = new Worker(program, { eval: true, workerData });
        let rows: unknown;
        worker.once('message', (message) => (rows = message));
        worker.once('error', reject);
        worker.once('exit', (code) => (code === 0 ? resolve(rows) : reject(new Error(`${code}`))));
      });
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [
      [[4999950000]],
      [[4999950000]],
      [[4999950000]],
    ]);
    assert.deepEqual(await readdir(folder.dir), []);
  });
});

describe('DuckDbEngine ends', () => {
  test('a statement when its signal aborts, with the reason, and goes on', async () => {
    await using engine = await opened();
    for (const afterMs of [0, 1, 50]) {
      const stop = new AbortController();
      const reason = new Error('told to stop');
      setTimeout(() => stop.abort(reason), afterMs);
      await assert.rejects(engine.query(ENDLESS, [], stop.signal), (error) => error === reason);
      await assert.rejects(engine.run(ENDLESS, stop.signal), (error) => error === reason);
      assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
    }
  });

  test('what is read when its signal aborts', async () => {
    await using engine = await opened();
    const stop = new AbortController();
    const reason = new Error('told to stop');
    let batches = 0;
    await assert.rejects(
      async () => {
        for await (const _ of engine.read('SELECT * FROM range(1000000000)', stop.signal))
          if (++batches === 3) stop.abort(reason);
      },
      (error) => error === reason,
    );
    assert.equal(batches, 3);
    assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
  });

  test('when what runs has ended, and then takes nothing', async () => {
    const engine = await opened();
    const running = engine.query(`SELECT max(n) FROM (${SORTED})`);
    await engine[Symbol.asyncDispose]();
    assert.deepEqual((await running).rows, [[599_999]]);
    await assert.rejects(engine.query('SELECT 1'), /closed/);
    await engine[Symbol.asyncDispose]();
  });
});

describe('DuckDbEngine says what is wrong', () => {
  const cases: readonly (readonly [string, RegExp, number | undefined])[] = [
    ['SELEKT 1', /^Parser Error: syntax error at or near "SELEKT"$/, 1],
    ['SELECT 1,\n  wrong\nFROM range(3)', /^Binder Error: Referenced column "wrong" not found/, 2],
    ['SELECT *\nFROM nope', /^Catalog Error: Table with name nope does not exist!/, 2],
    ["SELECT\n\nCAST('x' AS INTEGER)", /^Conversion Error: Could not convert string 'x'/, 3],
    ["SELECT error('of data')", /^Invalid Input Error: of data$/, undefined],
    ['SELECT 1; SELECT 2', /one statement/, undefined],
    ['-- nothing', /no statement/, undefined],
    ['', /no statement/, undefined],
    ['SELECT $1', /Values were not provided/, undefined],
    ["SELECT * FROM read_csv('/nowhere/x.csv')", /No files found/, 1],
    [
      "COPY (SELECT 1) TO '/nowhere/x.parquet'",
      /Cannot open file "\/nowhere\/x.parquet"/,
      undefined,
    ],
  ];
  for (const [sql, problem, line] of cases)
    test(`with a statement, in the engine's words: ${JSON.stringify(sql)}`, async () => {
      await using engine = await opened();
      const error = await rejection(engine.query(sql));
      assert.equal(error.code, 'sql_failed');
      assert.match(String(error.facts['problem']), problem);
      assert.doesNotMatch(String(error.facts['problem']), /LINE|\^|SET |Stack Trace/);
      assert.equal(error.facts['line'], line);
    });

  test('with the line in the text, of a statement behind others', async () => {
    await using engine = await opened();
    const error = await rejection(engine.run('SELECT 1;\n\nSELECT wrong FROM range(2);\nSELECT 2'));
    assert.equal(error.facts['line'], 3);
  });

  test('when memory is not enough, and goes on', async () => {
    await using engine = await opened({ memoryLimit: '64MB' });
    await assert.rejects(
      engine.query(TOO_LARGE),
      failure('sql_failed', /Out of memory.*MILLRACE_DUCKDB_MEMORY/),
    );
    assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
  });

  test('when more is spilled than may be, and goes on', async () => {
    await using folder = await temporaryFolder();
    await using engine = await opened({ ...TIGHT, maxTempBytes: 20_000_000 });
    await assert.rejects(
      engine.run(`COPY (${SORTED}) TO '${folder.dir}/x.parquet'`),
      failure('sql_failed', /spilled more than it may.*MILLRACE_DUCKDB_MEMORY/),
    );
    assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
  });

  test('with a memory limit that is none', async () => {
    await assert.rejects(
      opened({ memoryLimit: 'plenty' }),
      failure('sql_failed', /Memory must have a number/),
    );
  });

  test('when the disk is full that it writes to, or spills to, and goes on', async (t) => {
    await using folder = await temporaryFolder();
    using disk = smallDisk(folder.dir, '8m');
    if (disk === undefined) {
      t.skip('may not mount a small file system here');
      return;
    }
    {
      await using engine = await opened();
      const file = join(folder.dir, 'large.parquet');
      const written = await rejection(
        engine.run(`COPY (SELECT md5(n::VARCHAR) FROM range(2000000) t(n)) TO '${file}'`),
      );
      assert.equal(written.code, 'disk_full');
      assert.deepEqual(written.facts, { dir: folder.dir });
      assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
    }
    await using spilling = await DuckDbEngine.open({
      ...TIGHT,
      tempDirectory: folder.dir,
      maxTempBytes: 1_000_000_000,
    });
    const spilled = await rejection(spilling.query(SORTED));
    assert.equal(spilled.code, 'disk_full');
    assert.deepEqual((await spilling.query('SELECT 1')).rows, [[1]]);
  });
});

describe('DuckDbEngine names the Parquet file that', () => {
  const damages: readonly (readonly [string, (file: string) => Promise<void>])[] = [
    ['is missing', (file) => rm(file)],
    ['is empty', (file) => truncate(file, 0)],
    ['has only its first bytes', (file) => truncate(file, 7)],
    ['is truncated', (file) => truncate(file, 60_000)],
    ['is something else', (file) => writeFile(file, 'id,name\n1,Ann\n'.repeat(1000))],
    ['lost a stretch of its data', (file) => changed(file, (bytes) => bytes.fill(0, 5_000, 9_000))],
    [
      'has garbage for its metadata',
      (file) => changed(file, (bytes) => bytes.fill(0xff, bytes.length - 200, bytes.length - 8)),
    ],
    [
      'has a wrong length of its metadata',
      (file) => changed(file, (bytes) => void bytes.writeUInt32LE(0x7fffffff, bytes.length - 8)),
    ],
  ];
  for (const [what, damage] of damages)
    test(`${what}, read directly and through views, among others`, async () => {
      await using folder = await temporaryFolder();
      await using engine = await opened();
      const file = (name: string) => join(folder.dir, `${name}.parquet`);
      for (const name of ['good', "it's bad"])
        await engine.run(
          `COPY (SELECT range AS n, md5(range::VARCHAR) AS t FROM range(20000)) TO '${file(name).replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`,
        );
      const both = `read_parquet(['${file('good')}', '${file("it''s bad")}'])`;
      await engine.run(`CREATE VIEW two AS SELECT * FROM ${both}`);
      await engine.run('CREATE VIEW above AS SELECT n, t FROM two');
      await damage(file("it's bad"));
      for (const from of [both, 'above']) {
        const error = await rejection(engine.query(`SELECT max(n), max(t) FROM ${from}`));
        assert.equal(error.code, 'lake_file_damaged', String(error));
        assert.equal(error.facts['file'], file("it's bad"));
      }
      const copying = engine.run(`COPY (SELECT * FROM above) TO '${file('copy')}'`);
      assert.equal((await rejection(copying)).facts['file'], file("it's bad"));
      assert.deepEqual((await engine.query('SELECT 1')).rows, [[1]]);
    });
});

async function opened(options: Partial<DuckDbOptions> = {}): Promise<DuckDbEngine> {
  const folder = await temporaryFolder();
  try {
    const tempDirectory = folder.dir;
    const engine = await DuckDbEngine.open({ memoryLimit: '256MB', tempDirectory, ...options });
    const close = engine[Symbol.asyncDispose].bind(engine);
    // The folder goes with the engine.
    engine[Symbol.asyncDispose] = async () => {
      await close();
      await folder[Symbol.asyncDispose]();
    };
    return engine;
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function changed(file: string, change: (bytes: Buffer) => unknown): Promise<void> {
  const bytes = await readFile(file);
  change(bytes);
  await writeFile(file, bytes);
}

async function rejection(work: Promise<SqlRows | number>): Promise<MillraceError> {
  let found: unknown;
  await assert.rejects(work, (error) => {
    found = error;
    return true;
  });
  assert.ok(found instanceof MillraceError, String(found));
  return must(found, 'just checked');
}

function failure(code: string, problem: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof MillraceError &&
    error.code === code &&
    problem.test(String(error.facts['problem']));
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-duckdb-'));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}
