import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { packed, tryInstalled } from './installed-package.ts';
import { temporaryFolder } from './postgres.ts';

const ROOT = join(import.meta.dirname, '..');

// The registry is asked in test/stack: these tests need nothing but Node.
test('the package works where it is installed: it writes a pipeline, checks it, runs it', async () => {
  const folder = await temporaryFolder('millrace-package-');
  try {
    const user = join(folder, 'user');
    await install(await packed(folder), user);
    await tryInstalled(user);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** As npm would: the tarball, and of this checkout's packages those that are no development's. */
async function install(tarball: string, folder: string): Promise<void> {
  const modules = join(folder, 'node_modules');
  const own = join(modules, 'millrace');
  await mkdir(own, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', own]);
  await mkdir(join(modules, '.bin'));
  await symlink('../millrace/src/cli/millrace', join(modules, '.bin/millrace'));
  for (const name of dependencies()) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
}

function dependencies(): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: true; optional?: true }>;
  };
  return Object.entries(packages)
    .filter(([path, { dev }]) => dev !== true && /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path))
    .map(([path]) => path.replace('node_modules/', ''));
}
