import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Adds the optional packages of other platforms that are missing in package-lock.json, as they are
 * when the registry that the lock file was made with does not hold them all. npm 11 and later
 * refuse a lock file without them. Run it after `npm install`: `npm run lock`.
 */

type Package = { optionalDependencies?: Record<string, string>; dev?: true } & Record<
  string,
  unknown
>;
type LockFile = { packages: Record<string, Package> };

const PLATFORM =
  /(darwin|linux|win32|windows|android|freebsd|openharmony)-(arm64|arm|x64|ia32|ppc64|riscv64|s390x)(?:-(gnu|musl))?/;

const path = join(import.meta.dirname, '..', 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8')) as LockFile;
const added = missingPackages(lock);
const packages = Object.entries(lock.packages).concat(added).toSorted(byPath);
writeFileSync(
  path,
  `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, undefined, 2)}\n`,
);
console.log(`${added.length} packages of other platforms added`);

function missingPackages({ packages: known }: LockFile): [string, Package][] {
  return Object.values(known).flatMap(({ optionalDependencies = {}, dev }) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => known[`node_modules/${name}`] === undefined)
      .map(([name, version]): [string, Package] => [
        `node_modules/${name}`,
        {
          version,
          ...(dev === undefined ? {} : { dev }),
          optional: true,
          ...platformOf(name),
        },
      ]),
  );
}

function platformOf(name: string): Record<string, string[]> {
  const [, os, cpu, libc] = PLATFORM.exec(name) ?? [];
  if (os === undefined || cpu === undefined) throw new Error(`no platform in the name ${name}`);
  return {
    cpu: [cpu],
    ...(libc === undefined || os !== 'linux' ? {} : { libc: [libc === 'gnu' ? 'glibc' : libc] }),
    os: [os === 'windows' ? 'win32' : os],
  };
}

function byPath([left]: [string, unknown], [right]: [string, unknown]): number {
  return left === right ? 0 : left < right ? -1 : 1;
}
