import { execFileSync } from 'node:child_process';
import { chown, stat } from 'node:fs/promises';
import { MillraceError } from '../../domain/errors.ts';
import { runProgram } from '../../lib/run-program.ts';

/** A user of the operating system. */
export type Account = Readonly<{ uid: number; gid: number }>;

/** PostgreSQL refuses root, so root lends its processes one of these, the first that exists. */
const ACCOUNTS = ['postgres', 'nobody'];

/**
 * Who PostgreSQL's processes run as; undefined: as we do. A cluster that exists keeps its owner,
 * as the server refuses another one's files.
 */
export async function serverAccount(data: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(data).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  for (const name of ACCOUNTS) {
    const account = findAccount(name);
    if (account !== undefined) return account;
  }
  throw new MillraceError('embedded_postgres_failed', {
    expected: `one of the users ${ACCOUNTS.join(', ')}, as PostgreSQL refuses to run as root`,
    found: 'none',
  });
}

/** Whether the account may reach what lies in the folder: asked of the system, which knows all rules. */
export async function canEnter(
  account: Account | undefined,
  folder: string,
  signal: AbortSignal,
): Promise<boolean> {
  const test = ['-c', 'test -d "$0" && test -x "$0"', folder];
  const options = { cwd: '/', ...account };
  const { code } = await runProgram('/bin/sh', test, options, signal).catch((error: unknown) => {
    if (signal.aborted || account === undefined) throw error;
    // A container may have taken from root the right to change to another user.
    throw new MillraceError('embedded_postgres_failed', {
      expected: `the right to run programs as user ${account.uid}, as PostgreSQL refuses root`,
      found: String(error),
    });
  });
  return code === 0;
}

export async function giveTo(account: Account | undefined, path: string): Promise<void> {
  if (account !== undefined) await chown(path, account.uid, account.gid);
}

/** By `id`, which knows of directories other than /etc/passwd too. */
function findAccount(name: string): Account | undefined {
  try {
    const text = execFileSync('id', [name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [, uid, gid] = /uid=(\d+).*gid=(\d+)/.exec(text) ?? [];
    if (uid === undefined || gid === undefined) return undefined;
    // macOS prints nobody's -2 without its sign, and spawn takes 32 bits with one.
    return { uid: Number(uid) | 0, gid: Number(gid) | 0 };
  } catch {
    return undefined; // `id` fails for a user that does not exist.
  }
}
