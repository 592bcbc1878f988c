import { spawn, type SpawnOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';

export type ProcessCost = Readonly<{
  seconds: number;
  /** Peak of anonymous memory: pages mapped from files are the system's cache. */
  peakPrivateMb: number;
  stdout: string;
}>;

const EVERY_MS = 20;

/** Runs a program to its end and says what it cost. Needs Linux's /proc. */
export async function runCosting(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<ProcessCost> {
  const started = performance.now();
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  using memory = new MemoryWatch(() => child.pid);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
  return {
    seconds: (performance.now() - started) / 1000,
    peakPrivateMb: memory.peakPrivateMb,
    stdout,
  };
}

/** Looks at a process's private memory until it is disposed of. */
export class MemoryWatch implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #peakKb = 0;

  constructor(pid: () => number | undefined) {
    this.#timer = setInterval(() => {
      const now = pid();
      if (now !== undefined) this.#peakKb = Math.max(this.#peakKb, privateKb(now));
    }, EVERY_MS);
  }

  get peakPrivateMb(): number {
    return this.#peakKb / 1024;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function privateKb(pid: number): number {
  try {
    const [, kb = '0'] =
      /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kb);
  } catch {
    return 0; // it has just ended
  }
}
