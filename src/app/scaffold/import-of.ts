import { existsSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const OWN_ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCES = { millrace: 'src/index.ts', 'millrace/testing': 'src/testing.ts' } as const;

/** How a file imports this package: in the package's own checkout, by the path. */
export function importOf(name: keyof typeof SOURCES, file: string): string {
  if (!isInCheckout(file)) return name;
  const path = relative(dirname(file), join(OWN_ROOT, SOURCES[name])).split(sep).join('/');
  return path.startsWith('.') ? path : `./${path}`;
}

/** Whether a path is within the checkout that this program runs from. */
export function isInCheckout(path: string): boolean {
  return path.startsWith(OWN_ROOT) && existsSync(join(OWN_ROOT, SOURCES.millrace));
}
