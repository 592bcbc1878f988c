import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connector, connectorConfig, recordsOf, until } from '../../test/capture.ts';
import { cutting } from '../../test/cutting-log.ts';
import { historyOf } from '../../test/log-history.ts';
import { seededRandom } from '../../test/random.ts';
import { ScriptedSource, unreachable } from '../../test/scripted-source.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { MillraceError } from '../domain/errors.ts';
import { decodeMessage } from '../domain/logical-message.ts';
import { parsePosition } from '../domain/position.ts';
import { must } from '../lib/must.ts';
import type { EventLog } from '../ports/event-log.ts';
import { captureProducer, type NativeConnector } from './native-connector.ts';

const SEED = Number(process.env['SEED'] ?? Date.now());
const HISTORIES = 60;
const TOPIC = 'test_server.public.a';
const MESSAGES = 'test_server.message';
const CONFIG = connectorConfig(
  { host: '', port: 1, database: 'd', user: '', password: '' },
  { 'incremental.snapshot.chunk.size': '4' },
);

test(
  `whatever commits or is said between any two steps, is ordered to be copied, and wherever it is cut off, the log tells the source's history (SEED=${SEED})`,
  { timeout: 60_000 },
  async () => {
    for (let seed = SEED; seed < SEED + HISTORIES; seed += 1) {
      const { found, expected, told, said, problems, cuts, orders } = await play(seed);
      const what = `SEED=${seed}, ${cuts} cuts, ${orders} orders`;
      assert.deepEqual(problems, [], what);
      assert.deepEqual(found, expected, what);
      assert.deepEqual(told, said, what);
    }
  },
);

test('copies a table anew when it is asked to, once for all who ask before it is done', async () => {
  const source = new ScriptedSource({ rows: 9 });
  const log = new MemoryEventLog();
  const stop = new AbortController();
  const running = connector(source, log, CONFIG);
  const first = running.copy([TOPIC]); // waits for the first copy
  const done = running.run(stop.signal);
  await Promise.all([first, running.copy([TOPIC]), running.copy([TOPIC, TOPIC])]);
  await assert.rejects(running.copy([TOPIC, 'test_server.public.b']), {
    code: 'topic_not_captured',
    facts: { connector: 'test', topics: 'test_server.public.b' },
  });
  assert.match(running.status().problem ?? '', /test_server\.public\.b/);
  await until(async () => running.status().copy?.every((table) => table.done) === true);
  assert.deepEqual(
    running.status().copy?.map(({ rows }) => rows),
    [9],
  );
  await running.copy([TOPIC]);
  assert.equal(running.status().problem, undefined);
  await until(async () => running.status().copy?.every((table) => table.done) === true);
  stop.abort();
  await done;
  const { problems, records } = await historyOf(log, TOPIC, 3);
  assert.deepEqual({ problems, records }, { problems: [], records: 27 });
});

test('copies no row as a snapshot sees it that lags behind what was streamed before the copy was asked for', async () => {
  let snapshots = 0;
  const source = new ScriptedSource({
    rows: 3,
    beforeAnswer: (question) => {
      if (question === 'snapshot' && ++snapshots === 4) source.publish();
    },
  });
  const log = new MemoryEventLog();
  const stop = new AbortController();
  const running = connector(source, log, CONFIG);
  const done = running.run(stop.signal);
  await until(async () => running.status().state === 'streaming');
  source.commit({ from: '1', to: '1', v: 'newer' }); // as with a standby that has not answered
  await until(async () => {
    const { end = 0n } = parsePosition((await log.positionOf(PRODUCER)) ?? '{}');
    return end >= source.end;
  });
  await running.copy([TOPIC]);
  await until(async () => running.status().copy?.every((table) => table.done) === true);
  stop.abort();
  await done;
  const { problems, records } = await historyOf(log, TOPIC, 2);
  assert.deepEqual({ problems, records, snapshots }, { problems: [], records: 7, snapshots: 4 });
});

test('goes on in the middle of a chunk, behind the last row that is in the log', async () => {
  let isCopied = false;
  const source = new ScriptedSource({
    rows: 9,
    value: 'x'.repeat(1_500_000), // three fill a batch
    beforeAnswer: (question) => {
      if (question === 'copy' && !isCopied) {
        isCopied = true;
        throw unreachable();
      }
    },
  });
  const log = new MemoryEventLog();
  const stop = new AbortController();
  let cuts = 0;
  const cutAfterAppend = (isDurable: boolean): void => {
    if (!isDurable || !isCopied || cuts >= 4) return;
    cuts += 1;
    throw unreachable();
  };
  const running = runAgainAndAgain(source, cutting(log, cutAfterAppend), 1, stop.signal);
  await until(async () => {
    const { end, copy } = parsePosition((await log.positionOf(PRODUCER)) ?? '{}');
    return end !== undefined && copy === undefined;
  });
  stop.abort();
  await running;
  const { problems, records } = await historyOf(log, TOPIC);
  assert.deepEqual({ problems, records, cuts }, { problems: [], records: 9, cuts: 4 });
});

/** One random history: rows to copy, transactions at every step, faults now and then. */
async function play(seed: number) {
  const random = seededRandom(seed);
  const below = (n: number) => Math.floor(random() * n);
  const rows = below(30);
  const partitions = 1 + below(3);
  let steps = 40 + below(120);
  let cuts = 0;
  let orders = 0;
  let current: NativeConnector | undefined;
  const mayCut = (): void => {
    if (steps > 0 && cuts < 12 && random() < 0.06) {
      cuts += 1;
      throw unreachable();
    }
  };
  const source = new ScriptedSource({
    rows,
    batchSize: () => below(6),
    beforeAnswer: (question) => {
      while (steps > 0 && random() < 0.6) {
        steps -= 1;
        source.commit(...Array.from({ length: 1 + below(4) }, () => changeOf(below, rows, steps)));
        if (random() < 0.1) source.say(`alone ${steps}`);
        if (random() < 0.5) source.publish(below(source.invisible));
        if (random() < 0.05 && current !== undefined) {
          orders += 1;
          void current.copy([TOPIC]);
        }
      }
      if (question !== 'createSlot') mayCut();
    },
  });
  const log = new MemoryEventLog();
  const stop = new AbortController();
  const running = runAgainAndAgain(
    source,
    cutting(log, mayCut),
    partitions,
    stop.signal,
    (made) => (current = made),
  );
  await until(async () => {
    if (steps === 0) source.publish();
    else if (random() < 0.2) source.commit(changeOf(below, rows, (steps -= 1)));
    const { end = 0n, copy } = parsePosition((await log.positionOf(PRODUCER)) ?? '{}');
    return steps === 0 && copy === undefined && end >= source.end;
  });
  stop.abort();
  await running;
  const { rows: kept, problems } = await historyOf(log, TOPIC, 1 + orders);
  const found = [...kept.values()].map(({ id, v }) => [String(id), String(v)]);
  const expected = [...source.rows].map(([id, v]) => [id, v]);
  const told = await messagesIn(log);
  const { said } = source;
  return { found: sorted(found), expected: sorted(expected), told, said, problems, cuts, orders };
}

const PRODUCER = captureProducer('test');

/** One prefix, so all are in one partition. */
async function messagesIn(log: EventLog): Promise<string[]> {
  const { partitions = 0 } = (await log.topics()).find(({ name }) => name === MESSAGES) ?? {};
  const all: string[] = [];
  for (let partition = 0; partition < partitions; partition += 1)
    for (const { value } of await recordsOf(log, MESSAGES, partition))
      all.push(decodeMessage(must(value, 'a message has a value')).content.toString());
  return all;
}

function changeOf(below: (n: number) => number, rows: number, step: number) {
  const id = String(1 + below(rows + 5));
  const other = String(1 + below(rows + 5));
  const v = `v${step}`;
  const say = `${step} of ${id}`;
  return [
    { to: id, v },
    { from: id },
    { from: id, to: id, v },
    { from: id, to: other, v },
    { say },
  ][below(5)] as { from?: string; to?: string; v?: string; say?: string };
}

async function runAgainAndAgain(
  source: ScriptedSource,
  log: EventLog,
  partitions: number,
  signal: AbortSignal,
  onMade: (made: NativeConnector) => void = () => undefined,
) {
  while (!signal.aborted) {
    try {
      const made = connector(source, log, CONFIG, { partitions });
      onMade(made);
      await made.run(signal);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'source_unreachable') throw error;
    }
  }
}

function sorted(rows: string[][]): string[][] {
  return rows.toSorted(([a], [b]) => Number(a) - Number(b));
}
