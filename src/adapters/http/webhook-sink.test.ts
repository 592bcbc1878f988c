import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { batch, put, remove, sinkContract } from '../../../test/contracts/sink.ts';
import { MillraceError } from '../../domain/errors.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { must } from '../../lib/must.ts';
import { retryAfterMs } from './answer.ts';
import { parseWebhookUrl } from './webhook-address.ts';
import { WebhookSink, type WebhookSinkOptions } from './webhook-sink.ts';

const { signal } = new AbortController();

type Asked = Readonly<{ headers: IncomingMessage['headers']; url: string; body: string }>;

/** Answers as `answer` says, and keeps what it was asked. */
type Receiver = AsyncDisposable & Readonly<{ port: number; asked: Asked[]; stop(): Promise<void> }>;

async function receiver(
  answer: (asked: Asked, response: ServerResponse) => void,
): Promise<Receiver> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void body(request).then((text) => {
      const one = { headers: request.headers, url: request.url ?? '', body: text };
      asked.push(one);
      answer(one, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  const { port } = server.address() as AddressInfo;
  return { port, asked, stop, [Symbol.asyncDispose]: stop };
}

async function body(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await Array.fromAsync<Buffer>(request)).toString();
}

/** Never waits, and says how long it should have. */
function hastyClock(): Clock & { waitsMs: number[] } {
  const waitsMs: number[] = [];
  return { waitsMs, nowMs: () => systemClock.nowMs(), sleep: async (ms) => void waitsMs.push(ms) };
}

function sinkTo(url: string, options: Partial<WebhookSinkOptions> = {}): WebhookSink {
  const address = parseWebhookUrl(url);
  assert.ok(typeof address !== 'string');
  return new WebhookSink({
    address,
    headers: {},
    timeoutMs: 5_000,
    clock: hastyClock(),
    random: () => 0,
    ...options,
  });
}

const end =
  (status: number, text = '', headers: Record<string, string> = {}) =>
  (_: Asked, response: ServerResponse): void =>
    void response.writeHead(status, headers).end(text);

const isCoded = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

sinkContract('WebhookSink', { keepsAccount: false }, async () => {
  const rows = new Map<string, number>();
  const server = await receiver(({ headers, body: text }, response) => {
    const value = JSON.parse(text) as { amount: number } | null;
    const { id } = JSON.parse(String(headers['millrace-key'])) as { id: number };
    if (value === null) rows.delete(String(id));
    else if (value.amount >= 0) rows.set(String(id), value.amount);
    else return void response.writeHead(422).end('amounts are not below 0');
    response.writeHead(204).end();
  });
  return {
    sink: sinkTo(`http://user:hunter2@127.0.0.1:${server.port}/s3cret`),
    secret: 'hunter2',
    rows: () => Promise.resolve(Object.fromEntries(rows)),
    kill: () => server.stop(),
    [Symbol.asyncDispose]: () => server.stop(),
  };
});

describe('WebhookSink', () => {
  test('posts the value as JSON, with key, time and id beside it', async () => {
    await using server = await receiver(end(200));
    const url = `http://user:p%40ss@127.0.0.1:${server.port}/hook?a=1`;
    const sink = sinkTo(url, { headers: { 'x-team': 'shop' } });
    await using writer = await sink.open();
    const given = { ...put(0, 1, 10), keyText: '"Zoë"' };
    await writer.write(batch(given, remove(1, 2)), signal);
    const [first, second] = server.asked;
    assert.equal(first?.body, '{"id":1,"amount":10}');
    assert.equal(first?.url, '/hook?a=1');
    assert.equal(first?.headers['content-type'], 'application/json');
    assert.equal(first?.headers['idempotency-key'], given.id);
    assert.equal(JSON.parse(String(first?.headers['millrace-key'])), 'Zoë');
    assert.equal(first?.headers['millrace-time'], '2023-11-14T22:13:20.000Z');
    assert.equal(first?.headers['x-team'], 'shop');
    const login = Buffer.from('user:p@ss').toString('base64');
    assert.equal(first?.headers.authorization, `Basic ${login}`);
    assert.equal(second?.body, 'null');
  });

  test('tries again, with the same key, what may pass', async () => {
    for (const status of [408, 425, 429, 500, 502, 503]) {
      let failures = 2;
      await using server = await receiver((asked, response) =>
        end((failures -= 1) >= 0 ? status : 200)(asked, response),
      );
      const clock = hastyClock();
      await using writer = await sinkTo(`http://127.0.0.1:${server.port}`, { clock }).open();
      assert.deepEqual(await writer.write(batch(put(0, 1, 10)), signal), []);
      const ids = server.asked.map(({ headers }) => headers['idempotency-key']);
      assert.deepEqual(ids, Array(3).fill(put(0, 1, 10).id));
      assert.deepEqual(clock.waitsMs, [125, 250]);
    }
  });

  test('waits as long as the server asks for', async () => {
    let isFirst = true;
    await using server = await receiver((asked, response) => {
      end(isFirst ? 429 : 200, '', { 'retry-after': '7' })(asked, response);
      isFirst = false;
    });
    const clock = hastyClock();
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}`, { clock }).open();
    await writer.write(batch(put(0, 1, 10)), signal);
    assert.deepEqual(clock.waitsMs, [7_000]);
  });

  test('tries again when there is no answer in time', async () => {
    let isFirst = true;
    await using server = await receiver((asked, response) => {
      // The head of an answer, and then nothing.
      if (isFirst) response.writeHead(200).write('{');
      else end(200)(asked, response);
      isFirst = false;
    });
    const options = { timeoutMs: 50 };
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}`, options).open();
    assert.deepEqual(await writer.write(batch(put(0, 1, 10)), signal), []);
    assert.equal(server.asked.length, 2);
  });

  test('gives up for now after some attempts, and says what came of the last', async () => {
    await using server = await receiver(end(503, 'down for repair'));
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}/s3cret`).open();
    await assert.rejects(
      writer.write(batch(put(0, 1, 10)), signal),
      (error: unknown) =>
        isCoded('sink_unreachable')(error) &&
        /HTTP 503: down for repair/.test(String(error)) &&
        !String(error).includes('s3cret'),
    );
  });

  test('stops, rather than refuse every record, when it is not let in', async () => {
    await using server = await receiver(end(401, 'who are you?'));
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}`).open();
    await assert.rejects(writer.write(batch(put(0, 1, 10)), signal), isCoded('sink_login_failed'));
  });

  test('follows a redirect on the same server, and no other', async () => {
    await using other = await receiver(end(200));
    await using server = await receiver((asked, response) => {
      const location = asked.url === '/away' ? `http://127.0.0.1:${other.port}/` : '/new';
      end(asked.url === '/new' ? 200 : 308, '', { location })(asked, response);
    });
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}/old`).open();
    assert.deepEqual(await writer.write(batch(put(0, 1, 10)), signal), []);
    assert.deepEqual(
      server.asked.map(({ url }) => url),
      ['/old', '/new'],
    );
    await using astray = await sinkTo(`http://127.0.0.1:${server.port}/away`).open();
    await assert.rejects(astray.write(batch(put(0, 1, 10)), signal), isCoded('sink_not_ready'));
    assert.equal(other.asked.length, 0);
  });

  test('reads no more than the beginning of a long answer', async () => {
    await using server = await receiver((_, response) => {
      response.writeHead(400);
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        response.once('drain', more);
      };
      more();
    });
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}`).open();
    const [refusal] = await writer.write(batch(put(0, 1, 10)), signal);
    assert.equal(refusal?.name, 'HTTP 400');
    assert.ok(must(refusal, 'it was refused').message.length < 600);
  });

  test('stops waiting when it is told to stop', async () => {
    const stopping = new AbortController();
    await using server = await receiver(() => stopping.abort());
    await using writer = await sinkTo(`http://127.0.0.1:${server.port}`).open();
    await assert.rejects(writer.write(batch(put(0, 1, 10)), stopping.signal), {
      name: 'AbortError',
    });
  });
});

test('Retry-After is a number of seconds or a date', () => {
  const nowMs = Date.parse('2026-02-28T12:00:00Z');
  assert.equal(retryAfterMs('12', nowMs), 12_000);
  assert.equal(retryAfterMs('Sat, 28 Feb 2026 12:01:00 GMT', nowMs), 60_000);
  assert.equal(retryAfterMs('Sat, 28 Feb 2026 11:00:00 GMT', nowMs), 0);
  assert.equal(retryAfterMs('soon', nowMs), undefined);
  assert.equal(retryAfterMs(null, nowMs), undefined);
});

test('an address that is none is told without it', () => {
  const expected = 'expected an address such as https://example.com/hook';
  for (const text of ['hunter2', 'ftp://hunter2.example.com', ''])
    assert.equal(parseWebhookUrl(text), expected);
});
