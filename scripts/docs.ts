import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatedPages } from './generated-pages.ts';

for (const [path, text] of await generatedPages()) {
  writeFileSync(join(import.meta.dirname, '..', path), text);
  console.log(path);
}
