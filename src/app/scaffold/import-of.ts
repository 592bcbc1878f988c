import { existsSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const OWN_ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCES = { millrace: 'src/index.ts', 'millrace/testing': 'src/testing.ts' } as const;

/** How a file imports this package: in the package's own checkout, by the path. */
export function importOf(name: keyof typeof SOURCES, file: string): string {
  const source = join(OWN_ROOT, SOURCES[name]);
  if (!file.startsWith(OWN_ROOT) || !existsSync(source)) return name;
  const path = relative(dirname(file), source).split(sep).join('/');
  return path.startsWith('.') ? path : `./${path}`;
}
