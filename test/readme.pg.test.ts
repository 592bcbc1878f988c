import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

test("the README's commands work while the shop runs", async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-readme-'));
  const env = { ...process.env, MILLRACE_DATA_DIR: join(folder.path, 'data') };
  const shell = (script: string) =>
    run('bash', ['-euo', 'pipefail', '-c', script], { cwd: ROOT, env, timeout: 60_000 });
  await shell('src/cli/millrace up --detach');
  t.after(() => shell('src/cli/millrace reset --yes'));
  try {
    for (const block of runnableBlocks(readFileSync(join(ROOT, 'README.md'), 'utf8'))) {
      const { stdout } = await shell(block);
      assert.notEqual(stdout, '');
    }
  } finally {
    await shell('src/cli/millrace down');
  }
});

/** The blocks marked so that they can be run as they stand: ```sh runnable */
function runnableBlocks(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```sh runnable\n([\s\S]*?)^```$/gm)];
  assert.notEqual(blocks.length, 0);
  return blocks.map(([, block = '']) => block);
}
