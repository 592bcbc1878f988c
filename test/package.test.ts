import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

test('the package works where it is installed, for the command line and for a pipeline', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-package-'));
  const modules = join(folder.path, 'node_modules');
  mkdirSync(join(modules, 'millrace'), { recursive: true });
  const tarball = execFileSync('npm', ['pack', '--silent', '--pack-destination', folder.path], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, 'millrace')], {
    cwd: folder.path,
  });
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((each) => each[0] !== '.'))
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));

  // The Node that runs this test is the one that a user of the package has.
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
  };
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: folder.path, env, encoding: 'utf8' });
  assert.match(run(join(modules, 'millrace/src/cli/millrace'), '--help'), /Usage: millrace/);
  writeFileSync(
    join(folder.path, 'pipeline.ts'),
    `import { definePipeline } from 'millrace';
     export const pipeline = definePipeline({ name: 'mine', processors: [] });
     console.log(pipeline.name);`,
  );
  assert.equal(run(process.execPath, join(folder.path, 'pipeline.ts')), 'mine\n');
});
