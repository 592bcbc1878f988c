import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ScriptedLake } from '../../../test/scripted-lake.ts';
import { TemporaryBatch } from '../../../test/temporary-batch.ts';

const MILLRACE = join(import.meta.dirname, '../millrace');
const COMPILE_CACHE = join(tmpdir(), 'millrace-compile-cache');

async function lakeOfTwo() {
  const batch = await TemporaryBatch.create();
  const lake = await ScriptedLake.create(batch.lakeDir, batch.engine, [
    { name: 'orders', key: ['id'], columns: [{ name: 'id', type: 'INTEGER' }] },
  ]);
  await lake.append([
    { table: 'orders', op: 'c', row: { id: 1 } },
    { table: 'orders', op: 'c', row: { id: 2 } },
  ]);
  const ask = async (args: readonly string[], input = '') => {
    const child = spawn(MILLRACE, ['sql', '--data-dir', batch.dir, ...args], {
      cwd: batch.dir,
      env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE },
    });
    const closed = once(child, 'close');
    child.stdin.end(input);
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const [code] = await closed;
    return { code: code as number, out, err };
  };
  return { ask, dir: batch.dir, [Symbol.asyncDispose]: () => batch[Symbol.asyncDispose]() };
}

test('answers are printed as a table, CSV and JSON, from an argument, a pipe and a file', async () => {
  await using lake = await lakeOfTwo();
  const sql = 'SELECT id FROM orders ORDER BY id';
  const [table, csv, json, limited] = await Promise.all([
    lake.ask([sql]),
    lake.ask(['--format', 'csv'], `${sql};\n`),
    lake.ask(['-', '--json'], sql),
    lake.ask([sql, '--limit', '1']),
  ]);
  assert.deepEqual(table, { code: 0, out: 'id\n 1\n 2\n', err: '' });
  assert.deepEqual(csv, { code: 0, out: 'id\n1\n2\n', err: '' });
  assert.deepEqual(json, { code: 0, out: '{"id":1}\n{"id":2}\n', err: '' });
  assert.deepEqual(limited, { code: 0, out: 'id\n 1\n', err: '' });
});

test('answers go to a file, in the format of its ending', async () => {
  await using lake = await lakeOfTwo();
  const [csv, parquet] = await Promise.all([
    lake.ask(['FROM orders ORDER BY id', '--output', 'rows.csv']),
    lake.ask(['FROM orders', '--output', 'rows.parquet']),
  ]);
  assert.match(csv.err, /Wrote 2 rows/);
  assert.equal(await readFile(join(lake.dir, 'rows.csv'), 'utf8'), 'id\n1\n2\n');
  assert.match(parquet.err, /Wrote 2 rows/);
  const counted = await lake.ask(["SELECT count(*) AS n FROM 'rows.parquet'", '--json']);
  assert.equal(counted.out, '{"n":2}\n');
  const [lines, limited] = await Promise.all([
    lake.ask(['FROM orders ORDER BY id', '--output', 'rows.jsonl']),
    lake.ask(['FROM orders ORDER BY id', '--output', 'first.parquet', '--limit', '1']),
  ]);
  assert.match(lines.err, /Wrote 2 rows/);
  assert.equal(await readFile(join(lake.dir, 'rows.jsonl'), 'utf8'), '{"id":1}\n{"id":2}\n');
  assert.match(limited.err, /Wrote 1 row to/);
});

test('a file that can not be written, or of an ending that says nothing, is refused before anything is asked', async () => {
  await using lake = await lakeOfTwo();
  await mkdir(join(lake.dir, 'folder.parquet'));
  const [ending, folder, none] = await Promise.all([
    lake.ask(['FROM orders', '--output', 'rows.xlsx']),
    lake.ask(['FROM orders', '--output', 'folder.parquet']),
    lake.ask(['FROM orders', '--output', 'none/rows.parquet']),
  ]);
  assert.deepEqual([ending.code, folder.code, none.code], [2, 2, 2]);
  assert.match(
    ending.err,
    /expected: --format, or a file that ends with \.txt[^]*found: rows\.xlsx/,
  );
  assert.match(folder.err, /found: a folder, .*folder\.parquet/);
  assert.match(none.err, /expected: a folder that is there/);
});

test('what is wrong is said in one message, with its exit code', async () => {
  await using lake = await lakeOfTwo();
  const [misspelt, writing, parquet, none] = await Promise.all([
    lake.ask(['FROM ordrs']),
    lake.ask(['DROP VIEW orders']),
    lake.ask(['FROM orders', '--format', 'parquet']),
    lake.ask(['SELECT 1', '--data-dir', join(lake.dir, 'none')]),
  ]);
  assert.deepEqual([misspelt.code, misspelt.out], [1, '']);
  assert.match(misspelt.err, /^millrace: sql_failed[^]*Did you mean "orders"[^]*line: 1/);
  assert.deepEqual([writing.code, parquet.code, none.code], [2, 2, 1]);
  assert.match(writing.err, /reads: SELECT[^]*found: DROP/);
  assert.match(none.err, /lake_missing/);
});
