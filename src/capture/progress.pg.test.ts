import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { captured, capturing, until } from '../../test/capture.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import { seededRandom } from '../../test/random.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';
import { must } from '../lib/must.ts';
import type { NativeConnector } from './native-connector.ts';

const WRITERS = 6;
/** So often time must have passed while all of them write, and at least so long. */
const TIMES = 3;
const WRITE_FOR_MS = 3000;

describe('the time that a source has passed', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const clockOfServer = async (): Promise<number> => {
    const [row] = await client.query('select extract(epoch from clock_timestamp()) * 1000 as at');
    return Number(must(row?.['at'], 'it is a number'));
  };

  test('goes on where nobody writes, and while a transaction stays open no longer than it must', async () => {
    const log = new MemoryEventLog();
    const { connector, stop } = await capturing(server, log, { 'slot.name': 'idle' });
    const startMs = performance.now();
    const nowMs = await clockOfServer();
    await until(async () => (connector.status().passedMs ?? 0) >= nowMs);
    assert.ok(performance.now() - startMs < 5000);
    await using other = await PostgresClient.connect(server);
    await other.query('begin');
    await other.query('select pg_current_xact_id()');
    const openMs = await clockOfServer();
    await sleep(1500);
    assert.ok((connector.status().passedMs ?? 0) <= openMs);
    await other.query('rollback');
    await until(async () => (connector.status().passedMs ?? 0) > openMs);
    await stop();
  });

  test('is never ahead of a change that comes later, whoever writes and however long', async () => {
    await client.query('create table paid (id bigserial primary key, writer int)');
    const log = new MemoryEventLog();
    const { connector, stop } = await capturing(server, log, { 'slot.name': 'busy' });
    const told = watch(connector, log);
    await Promise.all(
      Array.from({ length: WRITERS }, (_, index) => write(server, index, told.isEnough)),
    );
    const endMs = await clockOfServer();
    await until(async () => (connector.status().passedMs ?? 0) >= endMs);
    const looks = await told.end();
    await stop();
    const commitMs = (await captured(log, 'test_server.public.paid')).map(({ value }) =>
      Number((value as { source: { ts_ms: number } }).source.ts_ms),
    );
    assert.ok(commitMs.length > 100, `${commitMs.length} changes`);
    for (const { passedMs, count } of looks) {
      const late = commitMs.slice(count).filter((each) => each < passedMs);
      assert.deepEqual(late, [], `after ${passedMs} was told with ${count} in the log`);
    }
  });
});

/** Notes what is told, with how many changes were in the log by then. */
function watch(connector: NativeConnector, log: MemoryEventLog) {
  const looks: { passedMs: number; count: number }[] = [];
  const stop = new AbortController();
  const topic = { topic: 'test_server.public.paid', partition: 0 };
  const ended = (async () => {
    while (!stop.signal.aborted) {
      const { passedMs } = connector.status();
      const isThere = (await log.topics()).some(({ name }) => name === topic.topic);
      const count = isThere ? (await log.offsets(topic)).end : 0;
      // What came between the two questions makes the claim weaker, never stronger.
      if (passedMs !== undefined && passedMs !== looks.at(-1)?.passedMs)
        looks.push({ passedMs, count });
      await sleep(2);
    }
  })();
  const untilMs = performance.now() + WRITE_FOR_MS;
  return {
    isEnough: () => looks.length >= TIMES && performance.now() >= untilMs,
    end: async () => {
      stop.abort();
      await ended;
      return looks;
    },
  };
}

async function write(
  server: TemporaryPostgres,
  writer: number,
  isEnough: () => boolean,
): Promise<void> {
  const random = seededRandom(writer);
  await using client = await PostgresClient.connect(server);
  if (writer % 2 === 0) await client.query('set synchronous_commit = off');
  while (!isEnough()) {
    await client.query('begin');
    await client.query('insert into paid (writer) values ($1)', [String(writer)]);
    // Some hold their transaction for longer than it takes to look.
    await sleep(random() < 0.1 ? random() * 1500 : random() * 10);
    await client.query('commit');
    await sleep(random() * 5);
  }
}
