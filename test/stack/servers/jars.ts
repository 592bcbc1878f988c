import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What Maven fetches together, each a file in `poms/` that pins its versions. */
type JarSet = 'kafka' | 'kafka-zookeeper' | 'debezium';

const run = promisify(execFile);
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

/**
 * The folder that holds a set's jars and all they need. They are fetched once, by Maven, into
 * `millrace-stack` of the user's cache folder; a changed pom makes a new folder.
 */
export async function jarsOf(set: JarSet): Promise<string> {
  const pom = join(import.meta.dirname, 'poms', `${set}.xml`);
  const key = createHash('sha256').update(await readFile(pom));
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'millrace-stack');
  const folder = join(cache, `${set}-${key.digest('hex').slice(0, 16)}`);
  if (await exists(folder)) return folder;
  await mkdir(cache, { recursive: true });
  // Fetched aside and renamed: a folder of that name is whole, whoever else fetches or is killed.
  const aside = await mkdtemp(join(cache, 'new-'));
  try {
    await fetch(pom, join(aside, 'jars'));
    await rename(join(aside, 'jars'), folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return folder;
}

async function fetch(pom: string, folder: string): Promise<void> {
  try {
    await run('mvn', ['-q', '-B', '-f', pom, COPY, `-DoutputDirectory=${folder}`]);
  } catch (error) {
    const { code, stdout, stderr } = error as NodeJS.ErrnoException & Record<string, unknown>;
    if (code === 'ENOENT')
      throw new Error('mvn is missing: apt-get install maven', { cause: error });
    throw new Error(`mvn ${pom}: ${String(stdout)}${String(stderr)}`, { cause: error });
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
