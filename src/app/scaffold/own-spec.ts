import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../version.ts';

/**
 * How npm gets the Millrace that runs here: as whoever installed it had it from, such as a tarball,
 * else this version from the registry.
 */
export async function ownSpec(dir: string): Promise<string> {
  const [, folder] = /^(.*\/)node_modules\/millrace\//.exec(fileURLToPath(import.meta.url)) ?? [];
  if (folder === undefined) return VERSION;
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => '{}');
  const { dependencies } = JSON.parse(text) as { dependencies?: Record<string, string> };
  const spec = dependencies?.['millrace'] ?? VERSION;
  if (!spec.startsWith('file:')) return spec;
  return `file:${relative(dir, resolve(folder, spec.slice('file:'.length)))}`;
}
