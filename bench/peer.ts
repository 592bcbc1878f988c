import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where Debian keeps PostgreSQL's programs, besides the PATH. */
const DEBIAN = '/usr/lib/postgresql';

/** The program a figure is compared with. Without it there is no figure, so its absence is an error that names it. */
export function findPeer(
  program: string,
  debianPackage: string,
  versionFlag = '--version',
): Readonly<{ path: string; version: string }> {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted().toReversed() : [];
  // oxlint-disable-next-line node/no-process-env -- a bench is a program of its own
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((v) => join(DEBIAN, v, 'bin')),
  ];
  const path = folders.map((folder) => join(folder, program)).find((file) => existsSync(file));
  if (path === undefined)
    throw new Error(
      `${program} is missing, which this bench runs. Debian: apt-get install ${debianPackage}`,
    );
  return { path, version: execFileSync(path, [versionFlag], { encoding: 'utf8' }).trim() };
}
