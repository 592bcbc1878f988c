/*
 * Makes dist/, which is what is published beside the launcher: the program, and the shop as the
 * pipeline that runs where the user has none. It lies there as in the checkout, so that files find
 * each other by the same paths.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');
/** Apart until it is whole: it may be packed in another terminal, too. */
const DRAFT = join(ROOT, `node_modules/.cache/millrace-dist-${process.pid}`);
mkdirSync(DRAFT, { recursive: true });
try {
  execFileSync(
    join(ROOT, 'node_modules/.bin/tsc'),
    ['-p', join(ROOT, 'tsconfig.pack.json'), '--outDir', DRAFT],
    // What npm pack prints is the tarball's name.
    { stdio: ['ignore', 2, 2] },
  );
  // The shop's connector.json and SQL, and what spark-submit runs.
  for (const folder of ['pipelines/shop', 'src/adapters/spark'])
    cpSync(join(ROOT, folder), join(DRAFT, folder), {
      recursive: true,
      filter: (path) => !path.endsWith('.ts') && !path.includes('__pycache__'),
    });
  // What a source that is gone had been compiled to would be published for ever.
  rmSync(DIST, { recursive: true, force: true });
  renameSync(DRAFT, DIST);
} finally {
  rmSync(DRAFT, { recursive: true, force: true });
}
