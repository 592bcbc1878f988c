import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtempDisposable, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, test } from 'node:test';
import { must } from '../src/lib/must.ts';

const SCRIPTS = join(import.meta.dirname, '../scripts');
const scripts = readdirSync(SCRIPTS).filter((name) => name.endsWith('.sh') && name !== 'stack.sh');

type Ended = Readonly<{ code: number; out: string; err: string }>;

const run = (script: string, args: readonly string[], env = process.env): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(join(SCRIPTS, script), args, { env, cwd: tmpdir() }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    );
  });

const placeOf = (program: string): string => {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const candidates = folders.map((folder) => join(folder, program));
  return must(candidates.find(existsSync), 'every Unix has it');
};

for (const script of scripts) {
  describe(`scripts/${script}`, () => {
    test('says what it does', async () => {
      const { code, out } = await run(script, ['--help']);
      assert.equal(code, 0);
      assert.match(out, /^[A-Z].*\./s);
    });

    test('refuses an argument that it does not know, and shows how it is used', async () => {
      const { code, err } = await run(script, ['--bogus']);
      assert.equal(code, 2);
      assert.match(err, /found --bogus\n\n[A-Z]/);
    });

    test('says that Docker Compose is missing, and ends as when a service is', async () => {
      await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-scripts-'));
      for (const program of ['bash', 'dirname', 'basename', 'sed'])
        await symlink(placeOf(program), join(folder.path, program));
      const { code, err } = await run(script, [], { PATH: folder.path });
      assert.equal(code, 69);
      assert.match(err, /Docker Compose is missing/);
    });
  });
}
