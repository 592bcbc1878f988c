import { open, stat, watch } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Terminal } from './terminal.ts';

/** Shown in a place of their own, or of no use to a reader. */
const LEFT_OUT = new Set('level time msg pid hostname part code stack err'.split(' '));

/**
 * A line of the log file as a person reads it; what is no JSON stays as it is. A failure with a code
 * says all in its message, and is tried again and again: only that of a bug has its stack.
 */
export function prettyLogLine(line: string, colours: Terminal['colours']): string {
  const entry = parsed(line);
  if (entry === undefined) return line;
  const level = inline(entry['level'] ?? '').toUpperCase();
  const paint =
    level === 'ERROR' || level === 'FATAL'
      ? colours.red
      : level === 'WARN'
        ? colours.yellow
        : String;
  const rest = Object.entries(entry)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => colours.dim(`${name}=${inline(value)}`));
  return [
    colours.dim(timeOf(entry['time'])),
    paint(level.padEnd(5)),
    ...(entry['part'] === undefined ? [] : [`${inline(entry['part'])}:`]),
    inline(entry['msg'] ?? ''),
    ...rest,
    ...stackOf(entry).map((stack) => `\n${stack}`),
  ].join(' ');
}

function stackOf({ code, stack, err }: Readonly<Record<string, unknown>>): string[] {
  if (isRecord(err)) return [inline(err['stack'] ?? err['message'])];
  return code === undefined && stack !== undefined ? [inline(stack)] : [];
}

/**
 * Whole lines of a file: its last `count`, then, when asked to follow, what is appended, until
 * `signal` aborts. A file that is rotated away is followed by the one that takes its place.
 */
export async function* logLines(
  file: string,
  { count, follow, signal }: Readonly<{ count: number; follow: boolean; signal: AbortSignal }>,
): AsyncGenerator<string> {
  const reader = new GrowingFile(file);
  // Watch before the first read, or what is appended between the two would wait for the next event.
  const changes = follow ? watch(dirname(file), { signal }) : undefined;
  yield* (await reader.readLines()).slice(-count);
  if (changes === undefined) return;
  try {
    for await (const _ of changes) yield* await reader.readLines();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

class GrowingFile {
  readonly #file: string;
  #inode = 0;
  #position = 0;
  #rest = '';

  constructor(file: string) {
    this.#file = file;
  }

  /** The lines completed since the last call; none while the file does not exist. */
  async readLines(): Promise<string[]> {
    const facts = await stat(this.#file).catch(() => undefined);
    if (facts === undefined) return [];
    if (facts.ino !== this.#inode || facts.size < this.#position) {
      this.#inode = facts.ino;
      this.#position = 0;
      this.#rest = '';
    }
    await using handle = await open(this.#file);
    const chunk = Buffer.alloc(Math.max(0, facts.size - this.#position));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, this.#position);
    this.#position += bytesRead;
    const lines = (this.#rest + chunk.toString('latin1', 0, bytesRead)).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => Buffer.from(line, 'latin1').toString('utf8'));
  }
}

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function timeOf(time: unknown): string {
  const at = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN);
  return Number.isNaN(at.getTime()) ? '-' : at.toISOString();
}

function inline(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
