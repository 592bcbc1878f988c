import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { smallDisk } from '../../test/small-disk.ts';
import { LineFile } from './line-file.ts';

describe('LineFile', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-lines-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  test('is there once it is finished, and leaves what stood there until then', async () => {
    const path = join(dir, 'rows.csv');
    await writeFile(path, 'old');
    {
      await using given = await LineFile.create(path);
      await given.print('half');
    }
    assert.equal(await readFile(path, 'utf8'), 'old');
    {
      await using file = await LineFile.create(path);
      await file.print('a\nb');
      await file.finish();
    }
    assert.equal(await readFile(path, 'utf8'), 'a\nb\n');
    assert.deepEqual(await readdir(dir), ['rows.csv']);
  });

  test('says that the disk is full, and leaves nothing on it', async (t) => {
    using disk = smallDisk(dir, '1m');
    if (disk === undefined) {
      t.skip('may not mount a small file system here');
      return;
    }
    {
      await using file = await LineFile.create(join(dir, 'rows.csv'));
      await assert.rejects(file.print('x'.repeat(2_000_000)), {
        code: 'disk_full',
        facts: { dir },
      });
    }
    assert.deepEqual(await readdir(dir), []);
  });

  test('says where no file can be', async () => {
    await assert.rejects(LineFile.create(join(dir, 'none', 'rows.csv')), { code: 'usage' });
    const folder = join(dir, 'folder.csv');
    await mkdir(folder);
    await assert.rejects(LineFile.create(folder), { code: 'usage' });
  });
});
