import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

/** The blocks of a page that are marked so that they can be run as they stand: ```sh runnable */
export function runnableBlocks(page: string): string[] {
  const markdown = readFileSync(join(ROOT, page), 'utf8');
  const blocks = [...markdown.matchAll(/^```sh runnable\n([\s\S]*?)^```$/gm)];
  assert.notEqual(blocks.length, 0);
  return blocks.map(([, block = '']) => block);
}

/** Runs a block in the checkout, and returns what it printed; throws when one of its commands fails. */
export async function runBlock(block: string, env: NodeJS.ProcessEnv): Promise<string> {
  const shell = ['-euo', 'pipefail', '-c', block];
  const { stdout } = await run('bash', shell, { cwd: ROOT, env, timeout: 60_000 });
  return stdout;
}
