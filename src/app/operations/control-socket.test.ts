import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import {
  askControlSocket,
  serveControlSocket,
  socketPathOf,
  type OperationHandler,
} from './control-socket.ts';

const root = mkdtempSync(join(tmpdir(), 'millrace-socket-'));
after(() => rmSync(root, { recursive: true }));

const folder = (): string => mkdtempSync(join(root, 'd-'));
const never = new AbortController().signal;
const ask = (dir: string, name: string, args: unknown = {}, signal = never) =>
  Array.fromAsync(askControlSocket(dir, name, args, signal));

const echo: OperationHandler = async function* (name, args) {
  yield name;
  yield args;
};

const waiting: OperationHandler = async function* (_name, _args, signal) {
  yield 'first';
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
};

describe('the control socket', () => {
  test('answers an operation value by value', async () => {
    const dir = folder();
    await using _ = await serveControlSocket(dir, echo);
    assert.deepEqual(await ask(dir, 'store.get', { key: 'ä"\n' }), ['store.get', { key: 'ä"\n' }]);
  });

  test('is for its owner only', async () => {
    const dir = folder();
    await using _ = await serveControlSocket(dir, echo);
    assert.equal(statSync(socketPathOf(dir)).mode & 0o777, 0o600);
  });

  test('lies in the temporary folder when the path would be too long', async () => {
    const dir = join(folder(), 'x'.repeat(120));
    const path = socketPathOf(dir);
    assert.ok(Buffer.byteLength(path) <= 100);
    await using _ = await serveControlSocket(dir, echo);
    assert.deepEqual(await ask(dir, 'status'), ['status', {}]);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('takes the place of a dead process', async () => {
    const dir = folder();
    const first = await serveControlSocket(dir, echo);
    await using _ = await serveControlSocket(dir, echo);
    assert.deepEqual(await ask(dir, 'status'), ['status', {}]);
    await first[Symbol.asyncDispose]();
  });

  test('carries a named failure with its facts, after the values before it', async () => {
    const dir = folder();
    await using _ = await serveControlSocket(dir, async function* () {
      yield 1;
      throw new MillraceError('topic_missing', { topic: 'orders' });
    });
    const seen: unknown[] = [];
    await assert.rejects(
      async () => {
        for await (const value of askControlSocket(dir, 'consume', {}, never)) seen.push(value);
      },
      { name: 'MillraceError', code: 'topic_missing', facts: { topic: 'orders' } },
    );
    assert.deepEqual(seen, [1]);
  });

  test('says so when nothing listens', async () => {
    await assert.rejects(ask(folder(), 'status'), { code: 'not_running' });
  });

  test('ends the operation when the client goes away', async () => {
    const dir = folder();
    const ended = Promise.withResolvers<void>();
    await using _ = await serveControlSocket(dir, async function* (_name, _args, signal) {
      yield 'first';
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      ended.resolve();
    });
    for await (const value of askControlSocket(dir, 'consume', {}, never)) {
      assert.equal(value, 'first');
      break;
    }
    await ended.promise;
  });

  test('ends running operations when it closes, and their clients see an end', async () => {
    const dir = folder();
    const server = await serveControlSocket(dir, waiting);
    const seen: unknown[] = [];
    for await (const value of askControlSocket(dir, 'consume', {}, never)) {
      seen.push(value);
      void server[Symbol.asyncDispose]();
    }
    assert.deepEqual(seen, ['first']);
  });

  test('ends quietly when the client aborts', async () => {
    const dir = folder();
    await using _ = await serveControlSocket(dir, waiting);
    const stop = new AbortController();
    const seen: unknown[] = [];
    for await (const value of askControlSocket(dir, 'consume', {}, stop.signal)) {
      seen.push(value);
      stop.abort();
    }
    assert.deepEqual(seen, ['first']);
  });

  test('says that the process ended when it dies in the middle of an answer', async () => {
    const dir = folder();
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `const { serveControlSocket } = await import(${JSON.stringify(new URL('./control-socket.ts', import.meta.url).href)});
         await serveControlSocket(${JSON.stringify(dir)}, async function* () { yield 'first'; await new Promise(() => {}); });
         console.log('listening');`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(child.stdout, 'data');
    const seen: unknown[] = [];
    await assert.rejects(
      async () => {
        for await (const value of askControlSocket(dir, 'consume', {}, never)) {
          seen.push(value);
          child.kill('SIGKILL');
        }
      },
      { code: 'not_running' },
    );
    assert.deepEqual(seen, ['first']);
  });

  test('makes the operation wait for a slow client', async () => {
    const dir = folder();
    let produced = 0;
    await using _ = await serveControlSocket(dir, async function* () {
      for (; produced < 100_000; produced += 1) yield 'x'.repeat(1000);
    });
    const values = askControlSocket(dir, 'consume', {}, never);
    await values.next();
    // What is produced by now fits the buffers between; far from all of it.
    assert.ok(produced < 50_000, `produced ${produced}`);
    await values.return();
  });
});
