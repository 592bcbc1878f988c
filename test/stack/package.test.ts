import { execFileSync } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { packed, tryInstalled } from '../installed-package.ts';
import { temporaryFolder } from '../postgres.ts';

test('the package works where npm has installed it in an empty folder', async () => {
  const folder = await temporaryFolder('millrace-npm-');
  try {
    const user = join(folder, 'user');
    await mkdir(user);
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    execFileSync('npm', ['install', ...options, await packed(folder)], { cwd: user });
    await tryInstalled(user);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
