import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import type { ConnectorStatus } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { requestCopy } from './copy-request.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { COMMANDS, declaredTopics } from '../topics.ts';

const { signal } = new AbortController();

const TOPIC = 'dbserver1.public.orders';
const COPYING = [{ table: 'public.orders', rows: 0, estimatedRows: 1, done: false }];

function connectorAt(
  atMs: number,
  copy: ConnectorStatus['copy'],
  state: ConnectorStatus['state'] = 'streaming',
) {
  const status = (): ConnectorStatus => ({
    component: 'connector',
    name: 'shop',
    atMs,
    ...(copy && { copy }),
    state,
    slot: 's',
    ...(state === 'waiting' && { problem: 'source_unreachable' }),
    publication: 'p',
    changes: 0,
  });
  return { name: 'connector', run: async () => {}, status };
}

async function newLog(): Promise<MemoryEventLog> {
  const log = new MemoryEventLog();
  await log.createTopics(declaredTopics([]));
  return log;
}

/** Tells once, and is killed: it never says goodbye. */
async function tell(
  log: EventLog,
  atMs: number,
  worker?: string,
  copy?: ConnectorStatus['copy'],
  state?: ConnectorStatus['state'],
): Promise<void> {
  const parts = [connectorAt(atMs, copy, state)];
  const publisher = new StatusPublisher(randomUUID(), log, parts, worker);
  const stop = new AbortController();
  const before = (await log.offsets({ topic: 'millrace.status', partition: 0 })).end;
  const following = log.read({ topic: 'millrace.status', partition: 0, offset: before }, signal);
  const running = publisher.run(stop.signal);
  for await (const { records } of following) if (records.length > 0) break;
  // The farewell would be the next record: it is told by a producer that is fenced.
  await log.openProducer(publisher.name);
  stop.abort();
  await running.catch(() => undefined);
}

const commandsIn = async (log: EventLog): Promise<number> =>
  (await log.offsets({ topic: COMMANDS, partition: 0 })).end;

async function untilCommands(log: EventLog, count: number): Promise<void> {
  while ((await commandsIn(log)) < count) await new Promise(setImmediate);
}

describe('a copy that is asked for', () => {
  test('waits to hear of a worker, whatever one told before that may be killed by now', async () => {
    const log = await newLog();
    await tell(log, Date.now() - 1000, 'host-1');
    const asking = requestCopy(log, 'shop', TOPIC, signal);
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    assert.equal(await commandsIn(log), 0);
    await tell(log, Date.now(), 'host-2');
    await untilCommands(log, 1);
    await tell(log, Date.now(), 'host-2', COPYING);
    await asking;
    assert.equal(await commandsIn(log), 1);
  });

  test('waits for the connector of this process, whatever one before it told', async () => {
    const log = await newLog();
    await tell(log, Date.now() - process.uptime() * 1000 - 1000);
    const asking = requestCopy(log, 'shop', TOPIC, signal);
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    assert.equal(await commandsIn(log), 0);
    await tell(log, Date.now());
    await untilCommands(log, 1);
    await tell(log, Date.now(), undefined, COPYING);
    await asking;
    assert.equal(await commandsIn(log), 1);
  });

  test('is asked again of the next worker where one ends before it shows it', async () => {
    const log = await newLog();
    const asking = requestCopy(log, 'shop', TOPIC, signal);
    for (const [index, worker] of ['host-1', 'host-2'].entries()) {
      await tell(log, Date.now(), worker);
      await untilCommands(log, index + 1);
    }
    await tell(log, Date.now(), 'host-2', COPYING);
    await asking;
    assert.equal(await commandsIn(log), 2);
  });

  test('waits while the source is away, whatever is told of that', async () => {
    const log = await newLog();
    await tell(log, Date.now());
    let isDone = false;
    const asking = requestCopy(log, 'shop', TOPIC, signal).then(() => (isDone = true));
    await untilCommands(log, 1);
    await tell(log, Date.now(), undefined, undefined, 'waiting');
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    assert.equal(isDone, false);
    await tell(log, Date.now(), undefined, COPYING);
    await asking;
    assert.equal(await commandsIn(log), 1);
  });

  test('is sent at once where the connector of this process has told that it works', async () => {
    const log = await newLog();
    await tell(log, Date.now());
    const asking = requestCopy(log, 'shop', TOPIC, signal);
    await untilCommands(log, 1);
    await tell(log, Date.now(), undefined, COPYING);
    await asking;
    assert.equal(await commandsIn(log), 1);
  });
});
