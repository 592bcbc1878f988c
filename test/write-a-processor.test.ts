import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import '../examples/shopping/shopping.test.ts';

const ROOT = join(import.meta.dirname, '..');
const GUIDE = join(ROOT, 'docs/guides/write-a-processor.md');
const MOST_LINES = 24;

test('the guide shows the files that these tests run', () => {
  const blocks = [...readFileSync(GUIDE, 'utf8').matchAll(/```ts file=(\S+)\n([^]*?)```/g)];
  assert.ok(blocks.length > 0);
  for (const [, file = '', shown = ''] of blocks) assert.equal(shown, asUserSees(file), file);
});

test('a join, a session window and a sink take less than 25 lines', () => {
  const lines = asUserSees('examples/shopping/shopping.ts').trim().split('\n');
  assert.ok(lines.length <= MOST_LINES, `${lines.length} lines`);
});

/** With the imports of whoever has installed the package. */
function asUserSees(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
    .replace("'../../src/index.ts'", "'millrace'")
    .replace("'../../src/testing.ts'", "'millrace/testing'")
    .replace("'../../pipelines/shop/tables.ts'", "'./tables.ts'");
}
