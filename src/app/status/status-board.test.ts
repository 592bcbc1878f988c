import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import type { GeneratorStatus } from '../../domain/status.ts';
import { StatusBoard } from './status-board.ts';
import { StatusPublisher } from './status-publisher.ts';
import { declaredTopics, STATUS } from '../topics.ts';

const NOW_MS = 1_000_000;

async function logOfStatuses(): Promise<MemoryEventLog> {
  const log = new MemoryEventLog();
  await log.createTopics(declaredTopics([]));
  return log;
}

function generatorAt(atMs: () => number) {
  const status = (): GeneratorStatus => ({
    component: 'generator',
    atMs: atMs(),
    state: 'running',
    batches: 0,
    rows: 0,
  });
  return { name: 'generator', run: async () => {}, status };
}

const countIn = async (log: MemoryEventLog): Promise<number> =>
  (await log.offsets({ topic: STATUS, partition: 0 })).end;

describe('statuses of a worker', () => {
  test('are told again though nothing is new, and taken away at the end', async () => {
    const log = await logOfStatuses();
    const stop = new AbortController();
    let atMs = NOW_MS;
    const publisher = new StatusPublisher('x', log, [generatorAt(() => (atMs += 5000))], 'host-1');
    const board = new StatusBoard(log, () => atMs);
    const following = board.run(stop.signal);
    const publishing = publisher.run(stop.signal);
    const first = await board.until(() => board.generator, stop.signal);
    assert.equal(first.worker, 'host-1');
    publisher.changed();
    await board.until(() => (board.generator?.atMs === first.atMs ? undefined : true), stop.signal);
    assert.equal(board.workers[0]?.worker, 'host-1');
    stop.abort();
    await Promise.all([publishing, following]);
    await board.load();
    assert.deepEqual(board.workers, []);
    assert.equal(board.generator?.state, 'stopped');
  });

  test('are not told again by a process that runs alone', async () => {
    const log = await logOfStatuses();
    let atMs = NOW_MS;
    const part = generatorAt(() => (atMs += 5000));
    const stop = AbortSignal.abort();
    const publisher = new StatusPublisher('x', log, [part]);
    await publisher.run(stop);
    await publisher.run(stop);
    assert.equal(await countIn(log), 1);
  });

  test('are told by the next run where one has failed', async () => {
    const log = await logOfStatuses();
    const publisher = new StatusPublisher('x', log, [generatorAt(() => NOW_MS)]);
    const failing = publisher.run(AbortSignal.abort());
    // It is fenced between its opening and its first append.
    await log.openProducer(publisher.name);
    await assert.rejects(failing, { code: 'producer_fenced' });
    await publisher.run(AbortSignal.abort());
    assert.equal(await countIn(log), 1);
  });

  test('make it live by when they were told, not by when they are read', async () => {
    const log = await logOfStatuses();
    const stop = new AbortController();
    const publisher = new StatusPublisher('x', log, [generatorAt(() => NOW_MS)], 'host-1');
    const board = new StatusBoard(log, () => NOW_MS + 14_000);
    const late = new StatusBoard(log, () => NOW_MS + 16_000);
    const watcher = new StatusBoard(log, () => NOW_MS);
    const following = watcher.run(stop.signal);
    const publishing = publisher.run(stop.signal);
    await watcher.until(() => watcher.generator, stop.signal);
    await board.load();
    await late.load();
    assert.equal(board.workers.length, 1);
    assert.equal(late.workers.length, 0);
    stop.abort();
    await Promise.all([publishing, following]);
  });
});
