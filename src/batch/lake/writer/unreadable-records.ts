import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { writeFile, rm } from 'node:fs/promises';
import { MillraceError } from '../../../domain/errors.ts';
import { OPERATIONS } from '../../../domain/envelope.ts';
import type { SqlEngine } from '../../../ports/sql-engine.ts';
import { wholeEventsSql } from './change-sql.ts';
import type { EventFile } from './event-file.ts';

/** A line of an event file that is no change event, and why. */
export type UnreadableRecord = Readonly<{ partition: number; offset: number; reason: string }>;

/** What the engine said of a statement that failed; undefined when something else is the matter. */
export function problemOf(error: unknown): string | undefined {
  if (!(error instanceof MillraceError) || error.code !== 'sql_failed') return undefined;
  const { problem } = error.facts;
  return typeof problem === 'string' ? problem : undefined;
}

/** Whether a file's records may be at fault. */
export function isAboutRecords(error: unknown): boolean {
  const problem = problemOf(error);
  return problem !== undefined && !/^Out of (memory|disk)/.test(problem);
}

/** The lines that are no change events or, where `isMessages`, no logical messages. */
export async function findUnreadable(
  engine: SqlEngine,
  file: EventFile,
  isMessages: boolean,
  signal: AbortSignal,
): Promise<UnreadableRecord[]> {
  const found: UnreadableRecord[] = [];
  for await (const line of linesOf(file.path)) {
    signal.throwIfAborted();
    const reason = faultOf(line, isMessages);
    if (reason !== undefined) found.push({ ...placeOf(line), reason });
  }
  return found.length > 0 ? found : bisect(engine, file, signal);
}

/** Writes the lines that are not among these into another file. */
export async function* linesWithout(
  path: string,
  unreadable: readonly UnreadableRecord[],
): AsyncGenerator<Buffer, void, undefined> {
  const bad = new Set(unreadable.map(({ partition, offset }) => `${partition}/${offset}`));
  for await (const line of linesOf(path)) {
    const { partition, offset } = placeOf(line);
    if (!bad.has(`${partition}/${offset}`)) yield line;
  }
}

function faultOf(line: Buffer, isMessages: boolean): string | undefined {
  if (!isUtf8(line)) return 'not UTF-8';
  let event: unknown;
  try {
    event = (JSON.parse(line.toString()) as { v: unknown }).v;
  } catch (error) {
    return `not JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  return isMessages ? messageFault(event) : changeFault(event);
}

function changeFault(event: unknown): string | undefined {
  if (!isObject(event)) return 'not a change event: no object';
  const { op, source, before, after } = event;
  if (op === 'm' || !OPERATIONS.some((each) => each === op)) return 'not a change event: no op';
  if (!isObject(source) || typeof source['table'] !== 'string')
    return 'not a change event: no source.table';
  if (!Number.isSafeInteger(source['ts_ms'])) return 'not a change event: no source.ts_ms';
  for (const row of [before, after])
    if (row !== null && row !== undefined && !isObject(row))
      return 'not a change event: before or after is no object';
  return op === 't' || isObject(before) || isObject(after)
    ? undefined
    : 'not a change event: no row';
}

function messageFault(event: unknown): string | undefined {
  if (!isObject(event) || event['op'] !== 'm') return 'not a logical message: op is not m';
  const { source, message } = event;
  if (!isObject(source) || !Number.isSafeInteger(source['ts_ms']))
    return 'not a logical message: no source.ts_ms';
  return isObject(message) && typeof message['prefix'] === 'string'
    ? undefined
    : 'not a logical message: no message.prefix';
}

/** What only the engine refuses, such as a name that stands twice in a row: found by trying ever smaller parts. */
async function bisect(
  engine: SqlEngine,
  { path, longestLine }: EventFile,
  signal: AbortSignal,
): Promise<UnreadableRecord[]> {
  const lines = await Array.fromAsync(linesOf(path));
  const part = `${path}.part`;
  const found: UnreadableRecord[] = [];
  const search = async (from: number, to: number): Promise<void> => {
    const reason = await refusal(engine, part, lines.slice(from, to), longestLine, signal);
    if (reason === undefined) return;
    if (to - from === 1)
      return void found.push({ ...placeOf(lines[from] ?? Buffer.alloc(0)), reason });
    const middle = Math.floor((from + to) / 2);
    await search(from, middle);
    await search(middle, to);
  };
  try {
    if (lines.length > 0) await search(0, lines.length);
  } finally {
    await rm(part, { force: true });
  }
  return found;
}

async function refusal(
  engine: SqlEngine,
  path: string,
  lines: readonly Buffer[],
  longestLine: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  await writeFile(path, lines);
  try {
    await engine.query(wholeEventsSql({ path, longestLine }), [], signal);
    return undefined;
  } catch (error) {
    if (!isAboutRecords(error)) throw error;
    return problemOf(error);
  }
}

const NEWLINE = 0x0a;

/** With their ends. */
async function* linesOf(path: string): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    const bytes = chunk as Buffer;
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      yield Buffer.concat([...rest, bytes.subarray(from, end + 1)]);
      rest = [];
      from = end + 1;
    }
    if (from < bytes.length) rest.push(bytes.subarray(from));
  }
}

function placeOf(line: Buffer): Readonly<{ partition: number; offset: number }> {
  const [, offset, partition] =
    /^\{"o":(\d+),"p":(\d+),/.exec(line.toString('latin1', 0, 80)) ?? [];
  return { offset: Number(offset), partition: Number(partition) };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
