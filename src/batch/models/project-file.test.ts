import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { loadModels } from './project.ts';
import { readProjectFile } from './project-file.ts';

describe('a file of a project', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-project-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  test('is read as it stands, also through a link', async () => {
    await writeFile(join(dir, 'a.sql'), "\uFEFFSELECT 'ä'");
    await symlink('a.sql', join(dir, 'b.sql'));
    assert.deepEqual(await readProjectFile(join(dir, 'b.sql')), { text: "\uFEFFSELECT 'ä'" });
    assert.equal(await readProjectFile(join(dir, 'c.sql')), undefined);
  });

  test('that can be none is told with its name, beside all the others', async () => {
    await symlink('nowhere.sql', join(dir, 'dangling.sql'));
    await symlink('endless.sql', join(dir, 'endless.sql'));
    await mkdir(join(dir, 'folder.sql'));
    await symlink('folder.sql', join(dir, 'linked.sql'));
    await writeFile(join(dir, 'latin.sql'), Buffer.from([0x53, 0xe4]));
    execFileSync('/usr/bin/mkfifo', [join(dir, 'pipe.sql')]);
    const name = dir.split('/').at(-1) ?? '';
    await assert.rejects(loadModels(dir), {
      code: 'models_invalid',
      facts: {
        problems: [
          `${name}/dangling.sql:1: it is a link to nowhere.sql, where nothing is`,
          `${name}/endless.sql:1: it is a link that leads back to itself`,
          `${name}/folder.sql:1: expected a file, found a folder`,
          `${name}/latin.sql:1: expected text in UTF-8, found something else`,
          `${name}/linked.sql:1: expected a file, found a link to folder.sql, which is a folder`,
          `${name}/pipe.sql:1: expected a file, found something else`,
        ],
      },
    });
  });

  test('that this user may not read is told so', async (t) => {
    if (process.getuid?.() === 0) {
      t.skip('root may read everything');
      return;
    }
    await writeFile(join(dir, 'secret.sql'), 'SELECT 1');
    await chmod(join(dir, 'secret.sql'), 0);
    assert.deepEqual(await readProjectFile(join(dir, 'secret.sql')), {
      problem: 'this user may not read it',
    });
  });
});
