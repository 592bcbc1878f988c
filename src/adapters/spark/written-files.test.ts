import assert from 'node:assert/strict';
import { mkdir, mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keepWrittenFiles } from './written-files.ts';

test('keeps the part files alone, in the order of their numbers', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'millrace-spark-'));
  const parts = ['part-00002-b.zstd.parquet', 'part-00010-a.parquet', 'part-100000-a.parquet'];
  await mkdir(join(dir.path, '_temporary', '0'), { recursive: true });
  for (const name of [...parts, ...parts.map((part) => `.${part}.crc`), '_SUCCESS'])
    await writeFile(join(dir.path, name), '');
  assert.deepEqual(
    await keepWrittenFiles(dir.path),
    parts.map((name) => join(dir.path, name)),
  );
  assert.deepEqual((await readdir(dir.path)).toSorted(), parts);
});

test('finds nothing where nothing was written', async () => {
  assert.deepEqual(await keepWrittenFiles('/no/such/folder'), []);
});
