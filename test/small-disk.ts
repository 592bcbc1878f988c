import { execFileSync } from 'node:child_process';

/** Mounts a file system of so much (`8m`) at `dir` until it is disposed of; undefined where that may not be done. */
export function smallDisk(dir: string, size: string): Disposable | undefined {
  const options = ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir];
  try {
    execFileSync('/bin/mount', options, { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return { [Symbol.dispose]: () => void execFileSync('/bin/umount', ['--lazy', dir]) };
}
