import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { errorOf, failureOf, type Failure } from '../failure.ts';

/** Longer paths of sockets are cut off by some systems (macOS: 104 bytes, Linux: 108). */
const MAX_PATH_BYTES = 100;
const MAX_REQUEST_BYTES = 1 << 20;

/** Runs a named operation; ends early when `signal` aborts. */
export type OperationHandler = (
  name: string,
  args: unknown,
  signal: AbortSignal,
) => AsyncIterable<unknown>;

/** A line of an answer. The last one is `end` or `failure`; without it the other side died. */
type Line = Readonly<{ value: unknown } | { failure: Failure } | { end: true }>;

/** Where the process that holds `dir` listens: in it, or, where that path is too long, in the temporary folder. */
export function socketPathOf(dir: string): string {
  const path = join(dir, 'millrace.sock');
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
  const name = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  return join(tmpdir(), `millrace-${String(process.getuid?.() ?? 0)}`, `${name}.sock`);
}

/**
 * Serves operations to processes of this user: HTTP over a unix socket, `POST /NAME` with the
 * arguments as JSON, answered by one JSON line a value. A client that goes away aborts its
 * operation; a slow one makes it wait. The caller holds the data directory, so a socket that is
 * already there is a dead process's.
 */
export async function serveControlSocket(
  dir: string,
  handle: OperationHandler,
): Promise<AsyncDisposable> {
  const path = socketPathOf(dir);
  preparePlace(path);
  const closing = new AbortController();
  const server = createServer((asked, answer) => {
    void answerOne(asked, answer, handle, closing.signal);
  });
  // Ours alone from its first moment on: a chmod would come after it.
  const umask = process.umask(0o177);
  server.listen(path);
  process.umask(umask);
  await once(server, 'listening');
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      closing.abort();
      server.closeIdleConnections();
      await closed;
    },
  };
}

/**
 * Asks the process that listens for `dir`, and yields what it answers. Throws `not_running` when
 * nobody listens or the process dies meanwhile; failures of the operation arrive as they are there.
 */
export async function* askControlSocket(
  dir: string,
  name: string,
  args: unknown,
  signal: AbortSignal,
): AsyncGenerator<unknown, void> {
  const response = await send(dir, name, JSON.stringify(args), signal);
  for await (const text of linesOf(response, signal)) {
    const line = JSON.parse(text) as Line;
    if ('end' in line) return;
    if ('failure' in line) throw errorOf(line.failure);
    yield line.value;
  }
  if (!signal.aborted) throw new MillraceError('not_running', { dir, found: 'it ended meanwhile' });
}

/** The folder in the temporary one may have been made by somebody else, who then could listen there. */
function preparePlace(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const place = statSync(dirname(path));
  const isOurs = process.getuid === undefined || place.uid === process.getuid();
  if (!isOurs || (place.mode & 0o022) !== 0)
    throw new MillraceError('data_dir_unusable', {
      dir: dirname(path),
      found: 'a folder that others may write to',
      expected: 'this user as owner, and the only one who may write',
    });
  rmSync(path, { force: true });
}

async function answerOne(
  asked: IncomingMessage,
  answer: ServerResponse,
  handle: OperationHandler,
  closing: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  answer.on('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, closing]);
  const write = async (line: Line): Promise<void> => {
    if (gone.signal.aborted || answer.write(`${JSON.stringify(line)}\n`)) return;
    // A rejection means that the client went away: the operation is told by `signal`.
    await once(answer, 'drain', { signal: gone.signal }).catch(() => {});
  };
  answer.setHeader('content-type', 'application/x-ndjson');
  try {
    const { name, args } = await readRequest(asked);
    answer.flushHeaders();
    for await (const value of handle(name, args, signal)) await write({ value });
    await write({ end: true });
  } catch (error) {
    await write({ failure: failureOf(error) });
  }
  answer.end();
}

async function readRequest(asked: IncomingMessage): Promise<{ name: string; args: unknown }> {
  if (Number(asked.headers['content-length'] ?? Infinity) > MAX_REQUEST_BYTES)
    throw new MillraceError('usage', { found: 'a request without a length, or too long' });
  const body = await buffer(asked);
  const name = decodeURIComponent(must(asked.url, 'a server gets requests with a path').slice(1));
  return { name, args: JSON.parse(body.toString('utf8')) as unknown };
}

/** Whole lines, also when the connection breaks; what follows the last line feed is dropped. */
async function* linesOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<string> {
  response.setEncoding('utf8');
  let rest = '';
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    const isBroken = signal.aborted || (error as NodeJS.ErrnoException).code === 'ECONNRESET';
    if (!isBroken) throw error;
  }
}

async function send(
  dir: string,
  name: string,
  body: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const asking = request({
    socketPath: socketPathOf(dir),
    path: `/${encodeURIComponent(name)}`,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    agent: false,
    signal,
  });
  asking.end(body);
  try {
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    return response;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new MillraceError('not_running', { dir }, error);
  }
}
