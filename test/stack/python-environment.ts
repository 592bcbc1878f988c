import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * The `python` of a virtual environment with these requirements. It is made once, in `millrace-stack`
 * of the user's cache folder; other requirements, or another Python, make another.
 */
export async function pythonWith(requirements: string): Promise<string> {
  const { stdout: version } = await run('python3', ['--version']).catch(refuse('python3'));
  const key = createHash('sha256')
    .update(version)
    .update(await readFile(requirements));
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'millrace-stack');
  const folder = join(cache, `python-${key.digest('hex').slice(0, 16)}`);
  if (!(await exists(folder))) await make(folder, cache, requirements);
  return join(folder, 'bin', 'python');
}

/** Aside and renamed: a folder of that name is whole. Its scripts name the old folder; its `python` runs. */
async function make(folder: string, cache: string, requirements: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const aside = await mkdtemp(join(cache, 'new-'));
  try {
    await run('python3', ['-m', 'venv', aside]).catch(refuse('python3-venv'));
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    await run(join(aside, 'bin', 'python'), [...install, '--requirement', requirements]);
    await rename(aside, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function refuse(debianPackage: string): (error: unknown) => never {
  return (error) => {
    throw new Error(`${debianPackage} is missing: apt-get install ${debianPackage}`, {
      cause: error,
    });
  };
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
