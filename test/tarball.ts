import { execFile } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The Node that runs the tests is the one that a user of the package has. */
export const USER_ENV: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
};

/** Makes the tarball, and resolves to its path. */
export async function packed(folder: string): Promise<string> {
  const command = ['pack', '--silent', '--pack-destination', folder];
  const { stdout } = await run('npm', command, {
    cwd: join(import.meta.dirname, '..'),
    env: USER_ENV,
  });
  return join(folder, stdout.trim());
}
