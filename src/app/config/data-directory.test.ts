import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { must } from '../../lib/must.ts';
import { DataDirectory } from './data-directory.ts';

const root = mkdtempSync(join(tmpdir(), 'millrace-data-'));
after(() => rmSync(root, { recursive: true }));

/** Another process that holds `dir` until it is killed. */
async function holderOf(dir: string) {
  const program = `
    const { DataDirectory } = await import(${JSON.stringify(new URL('./data-directory.ts', import.meta.url).href)});
    globalThis.held = await DataDirectory.open(${JSON.stringify(dir)}, 'test');
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

describe('DataDirectory', () => {
  test("creates a folder that nobody else may read, and that root's PostgreSQL may pass", async () => {
    const dir = join(root, 'new', 'nested');
    using held = await DataDirectory.open(dir, 'test');
    assert.equal(held.dir, dir);
    const mode = (name: string) => statSync(join(dir, name)).mode & 0o777;
    assert.equal(mode('.'), process.getuid?.() === 0 ? 0o711 : 0o700);
    for (const folder of ['log', 'store', 'lake', 'logs'])
      assert.equal(mode(folder), 0o700, folder);
    for (const file of ['format', 'holder.json', 'lock.db']) assert.equal(mode(file), 0o600, file);
  });

  test('refuses a second process and names the first; kill -9 of the first frees it', async () => {
    const dir = join(root, 'contended');
    const holder = await holderOf(dir);
    await assert.rejects(DataDirectory.open(dir, 'test', 0), {
      code: 'data_dir_locked',
      facts: { dir, pid: must(holder.pid, 'it runs'), holder: 'test' },
    });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    using held = await DataDirectory.open(dir, 'test', 0);
    assert.equal(held.dir, dir);
  });

  test('may be opened again once it was closed', async () => {
    const dir = join(root, 'again');
    (await DataDirectory.open(dir, 'test'))[Symbol.dispose]();
    using held = await DataDirectory.open(dir, 'test');
    assert.equal(held.dir, dir);
  });

  test('refuses the data of another version', async () => {
    const dir = join(root, 'other-version');
    mkdirSync(dir);
    writeFileSync(join(dir, 'format'), '7\n');
    await assert.rejects(DataDirectory.open(dir, 'test'), {
      code: 'data_dir_version',
      facts: { dir, found: '7', expected: 3 },
    });
  });

  test('refuses a folder that holds other things', async () => {
    const dir = join(root, 'home');
    mkdirSync(dir);
    writeFileSync(join(dir, 'letter.txt'), 'dear');
    await assert.rejects(DataDirectory.open(dir, 'test'), { code: 'data_dir_unusable' });
  });

  test('refuses a path that cannot be a folder', async () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    for (const dir of [file, join(file, 'below'), '/proc/below/this'])
      await assert.rejects(DataDirectory.open(dir, 'test'), { code: 'data_dir_unusable' }, dir);
  });
});
