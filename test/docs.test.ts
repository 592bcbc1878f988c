import assert from 'node:assert/strict';
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { generatedPages } from '../scripts/generated-pages.ts';

const ROOT = join(import.meta.dirname, '..');

for (const [path, text] of await generatedPages()) {
  test(`${path} is what \`npm run docs\` writes`, () => {
    assert.equal(readFileSync(join(ROOT, path), 'utf8'), text);
  });
}

test('every link between documents leads to a file', () => {
  const dead = documents().flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !existsSync(join(dirname(path), target)))
      .map((target) => `${path}: ${target}`),
  );
  assert.deepEqual(dead, []);
});

function documents(): string[] {
  const inDocs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  return [...readdirSync(ROOT), ...inDocs.map((path) => join('docs', path))]
    .filter((path) => path.endsWith('.md'))
    .map((path) => join(ROOT, path));
}
