import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { runProgram } from '../../lib/run-program.ts';
import { giveTo } from './embedded-account.ts';
import { SERVER_ENVIRONMENT } from './embedded-binaries.ts';
import type { Binaries } from './embedded-binaries.ts';
import { namingFailures } from './embedded-cluster-file.ts';
import type { Cluster } from './embedded-cluster.ts';

const WORK = 'initdb-';
const LAST_WORDS = 8;

/** Defaults that a user may change in postgresql.conf or by ALTER SYSTEM. */
const CHANGEABLE = [
  'max_connections=50',
  'shared_buffers=128MB',
  'max_slot_wal_keep_size=4GB',
  'timezone=UTC',
  'log_timezone=UTC',
  'log_line_prefix=%m [%p] %q%u@%d ',
  'log_checkpoints=off',
];

/** Creates the data in a folder beside its place and moves it there last: a half is never used. */
export async function createData(
  cluster: Cluster,
  binaries: Binaries,
  signal: AbortSignal,
): Promise<void> {
  const { home, account, file } = cluster;
  // A name of its own: initdb outlives us when we are killed, and two must not write to one folder.
  const work = await namingFailures(home, () => mkdtemp(join(home, WORK)));
  const passwordFile = join(work, 'password');
  await namingFailures(home, async () => {
    await giveTo(account, work);
    await writeFile(passwordFile, file.password, { mode: 0o600 });
    await giveTo(account, passwordFile);
  });
  const args = [
    `--pgdata=${join(work, 'data')}`,
    `--username=${file.user}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Names and order by Unicode's code points, the same on every platform.
    '--no-locale',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...CHANGEABLE.map((setting) => `--set=${setting}`),
  ];
  const options = { cwd: work, env: SERVER_ENVIRONMENT, ...account };
  const { code, output } = await runProgram(binaries.initdb, args, options, signal);
  if (code !== 0) {
    if (output.includes('No space left on device')) {
      throw new MillraceError('disk_full', { dir: home, said: lastLine(output) });
    }
    throw new MillraceError('embedded_postgres_failed', {
      program: 'initdb',
      code,
      said: output.trimEnd().split('\n').slice(-LAST_WORDS),
    });
  }
  await rename(join(work, 'data'), cluster.data);
  await rm(work, { recursive: true, force: true });
}

/** Removes what first starts that were killed have left; an initdb that still runs there fails, and ends. */
export async function removeHalves(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (!name.startsWith(WORK)) continue;
    // It may be writing there at this moment; then the next start removes the rest.
    await rm(join(home, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? '';
}
