import { execFileSync } from 'node:child_process';
import { readFile, readdir, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const POLL_MS = 10;
/** How long each way of ending is given before the next, from the gentlest on. */
const ENDINGS = [
  // Fast shutdown. It waits for every walsender's client to confirm the last WAL, so it needs a bound.
  ['SIGINT', 5000],
  // Immediate shutdown: the next start recovers from the WAL; nothing committed is lost.
  ['SIGQUIT', 5000],
  ['SIGKILL', 5000],
] as const;

/**
 * Ends whatever an earlier process of ours has left running on this data: an orphaned postmaster
 * in order, children that outlived their postmaster at once. Afterwards nobody uses the data.
 *
 * Ended and not adopted: one path then leads to a server with this version's settings, whose end
 * is noticed because it is our child.
 */
export async function endServersOn(data: string, onFound?: () => void): Promise<void> {
  const server = await findServer(data);
  if (server !== undefined && (await isServerOn(data, server.pid))) {
    onFound?.();
    await endInOrder(server.pid, async () => !(await isServerOn(data, server.pid)));
  }
  for (const pid of await serversOn(data)) {
    await endInOrder(pid, async () => !(await isServerOn(data, pid)), ENDINGS.slice(1));
  }
  // The number in a stale file may by now be another program's, and the server would wait for that.
  // Two servers on one folder stay impossible: its shared memory is known by the folder's inode.
  if (server !== undefined) await rm(join(data, 'postmaster.pid'), { force: true });
}

/** What `postmaster.pid` says; it may be stale. */
export async function findServer(
  data: string,
): Promise<Readonly<{ pid: number; readyPid: number | undefined }> | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const lines = text?.split('\n') ?? [];
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return { pid, readyPid: lines[7]?.trim() === 'ready' ? pid : undefined };
}

/** Signals `pid`, ever more strongly, until `hasEnded`. */
export async function endInOrder(
  pid: number,
  hasEnded: () => boolean | Promise<boolean>,
  endings: readonly (readonly [NodeJS.Signals, number])[] = ENDINGS,
): Promise<void> {
  for (const [signal, patienceMs] of endings) {
    if (await hasEnded()) return;
    sendSignal(pid, signal);
    if (await waitUntil(hasEnded, patienceMs)) return;
  }
  throw new Error(`process ${pid} does not end, not even by SIGKILL`);
}

/** False when the time has run out. */
async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  patienceMs: number,
): Promise<boolean> {
  const deadlineMs = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) return false;
    await wait(POLL_MS);
  }
  return true;
}

/**
 * Whether this process is a PostgreSQL server on this data, as a number alone may have been given
 * to another program. Every process of a server works in its data folder.
 */
async function isServerOn(data: string, pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return commandOf(pid).includes(`-D ${data} `);
  try {
    const [program, folder] = await Promise.all([
      readlink(`/proc/${pid}/exe`),
      readlink(`/proc/${pid}/cwd`),
    ]);
    // An upgrade of the package deletes the program under the server.
    return /\/postgres( \(deleted\))?$/.test(program) && folder === (await realpath(data));
  } catch {
    return false; // Gone, or not ours to look at; a zombie has neither link.
  }
}

/** Where the system tells; elsewhere children are found by the server itself, which waits for them. */
async function serversOn(data: string): Promise<readonly number[]> {
  if (process.platform !== 'linux') return [];
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (/^\d+$/.test(name) && (await isServerOn(data, Number(name)))) found.push(Number(name));
  }
  return found;
}

function commandOf(pid: number): string {
  try {
    return execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return ''; // `ps` fails for a process that does not exist.
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
