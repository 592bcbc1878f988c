import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let folder: string | undefined;

/**
 * Where the servers of this process log to. When the process ends well the folder goes; when a test
 * has failed it stays, and its name is printed.
 */
export function logFolder(): string {
  if (folder !== undefined) return folder;
  const made = mkdtempSync(join(tmpdir(), 'millrace-stack-logs-'));
  folder = made;
  process.once('exit', (code) => {
    if (code === 0) rmSync(made, { recursive: true, force: true });
    else console.error(`The logs of the servers are in ${made}`);
  });
  return made;
}
