import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectorStatus, ProcessorStatus } from '../../domain/status.ts';
import { ToldStatuses } from './told-statuses.ts';

/** Workers that tell of themselves, a second and an offset after each other. */
class Scene {
  nowMs = 1_000_000;
  #offset = 0;
  readonly told = new ToldStatuses(() => this.nowMs);

  tell(worker: string | undefined, status: Partial<ProcessorStatus> & { claims?: string[] } = {}) {
    const { claims = [], ...rest } = status;
    const full: ProcessorStatus = {
      component: 'processor:cdc',
      name: 'cdc',
      atMs: this.nowMs,
      state: 'running',
      records: 0,
      parked: 0,
      late: 0,
      tasks: claims.map((partition) => ({
        task: `cdc/${partition}`,
        partitions: [{ topic: 'orders', partition: Number(partition.at(-1)), offset: 1, end: 1 }],
      })),
      ...(worker !== undefined && { worker }),
      ...rest,
    };
    this.told.tell(worker === undefined ? full.component : `${full.component}@${worker}`, full, {
      offset: (this.#offset += 1),
      heardMs: this.nowMs,
    });
    this.nowMs += 1000;
  }

  tellConnector(worker: string, state: ConnectorStatus['state']) {
    const status: ConnectorStatus = {
      component: 'connector',
      name: 'shop',
      atMs: this.nowMs,
      worker,
      state,
      slot: 's',
      publication: 'p',
      changes: 0,
    };
    const heard = { offset: (this.#offset += 1), heardMs: this.nowMs };
    this.told.tell(`connector@${worker}`, status, heard);
    this.nowMs += 1000;
  }

  get cdc() {
    return this.told.processor('cdc');
  }

  /** Who runs each task. */
  get tasks() {
    return Object.fromEntries(this.cdc?.tasks.map(({ task, worker }) => [task, worker]) ?? []);
  }
}

describe('a processor that several workers share', () => {
  test('has the tasks of all, each with its worker, and what they did together', () => {
    const scene = new Scene();
    scene.tell('b', { claims: ['orders-1'], records: 5, parked: 2 });
    scene.tell('a', { claims: ['orders-0'], records: 7 });
    assert.deepEqual(scene.tasks, { 'cdc/orders-0': 'a', 'cdc/orders-1': 'b' });
    assert.equal(scene.cdc?.records, 12);
    assert.equal(scene.cdc?.parked, 2);
    assert.equal(scene.cdc?.state, 'running');
    assert.equal(scene.cdc?.worker, undefined);
    assert.deepEqual(
      scene.told.workers.map(({ worker, partitions }) => [worker, partitions]),
      [
        ['a', 1],
        ['b', 1],
      ],
    );
  });

  test('keeps the counts of a worker that said goodbye, and nothing else', () => {
    const scene = new Scene();
    scene.tell('a', { claims: ['orders-0'], records: 7, parked: 1, state: 'failed', problem: '!' });
    scene.tell('b', { claims: ['orders-1'], records: 5 });
    scene.told.leave('processor:cdc@a');
    const { records, parked, state, problem } = scene.cdc ?? {};
    assert.deepEqual([records, parked, state, problem], [12, 0, 'running', undefined]);
    assert.deepEqual(scene.tasks, { 'cdc/orders-1': 'b' });
  });

  test('does without a worker that is silent for fifteen seconds, until it speaks again', () => {
    const scene = new Scene();
    scene.tell('a', { claims: ['orders-0'], records: 7 });
    scene.nowMs += 13_999;
    scene.tell('b', { claims: ['orders-1'], records: 1 });
    assert.deepEqual(scene.tasks, { 'cdc/orders-1': 'b' });
    assert.equal(scene.cdc?.records, 8);
    scene.tell('a', { claims: ['orders-0'], records: 9 });
    assert.deepEqual(scene.tasks, { 'cdc/orders-0': 'a', 'cdc/orders-1': 'b' });
    assert.equal(scene.cdc?.records, 10);
  });

  test('is stopped when none is left, and says since when nobody was heard', () => {
    const scene = new Scene();
    scene.tell('a', { claims: ['orders-0'], records: 7 });
    scene.nowMs += 15_000;
    assert.equal(scene.cdc?.state, 'stopped');
    assert.deepEqual(scene.cdc?.tasks, []);
    assert.match(scene.cdc?.problem ?? '', /nothing was heard of a since 1970-01-01T00:16:40/);
    assert.deepEqual(scene.told.workers, []);
    scene.told.leave('processor:cdc@a');
    assert.equal(scene.cdc?.problem, undefined);
  });

  test('a partition that two claim is of the one that claimed it later', () => {
    const scene = new Scene();
    scene.tell('zombie', { claims: ['orders-0', 'orders-1'] });
    scene.tell('heir', { claims: ['orders-1'] });
    scene.tell('zombie', { claims: ['orders-0', 'orders-1'] });
    assert.deepEqual(scene.tasks, { 'cdc/orders-0': 'zombie', 'cdc/orders-1': 'heir' });
    scene.tell('zombie', { claims: ['orders-0'] });
    scene.tell('zombie', { claims: ['orders-0', 'orders-1'] });
    assert.equal(scene.tasks['cdc/orders-1'], 'zombie');
  });

  test('a worker whose runner failed claims nothing, and makes the whole failed', () => {
    const scene = new Scene();
    scene.tell('a', { claims: ['orders-0'], state: 'failed', problem: 'no disk' });
    scene.tell('b', { claims: ['orders-1'] });
    assert.deepEqual(scene.tasks, { 'cdc/orders-1': 'b' });
    assert.equal(scene.cdc?.state, 'failed');
    assert.equal(scene.cdc?.problem, 'a: no disk');
  });

  test('rests when every worker does, for the same hold', () => {
    const scene = new Scene();
    scene.tell('a', { claims: ['orders-0'], state: 'held', hold: 'h1' });
    scene.tell('b', { claims: ['orders-1'] });
    assert.deepEqual([scene.cdc?.state, scene.cdc?.hold], ['running', undefined]);
    scene.tell('b', { claims: ['orders-1'], state: 'held', hold: 'h2' });
    assert.equal(scene.cdc?.hold, undefined);
    scene.tell('b', { claims: ['orders-1'], state: 'held', hold: 'h1' });
    assert.deepEqual([scene.cdc?.state, scene.cdc?.hold], ['held', 'h1']);
    scene.tell('late', { state: 'starting' });
    assert.deepEqual([scene.cdc?.state, scene.cdc?.hold], ['starting', undefined]);
  });

  test('a process that runs everything alone counts alone, from when it told', () => {
    const scene = new Scene();
    scene.tell(undefined, { records: 3 });
    scene.nowMs += 60_000;
    assert.equal(scene.cdc?.records, 3);
    scene.tell('a', { records: 5 });
    assert.equal(scene.cdc?.records, 5);
    scene.tell(undefined, { records: 7 });
    assert.equal(scene.cdc?.records, 7);
  });

  test('goes as fast as the workers that live', () => {
    const scene = new Scene();
    for (const records of [0, 10, 20, 30]) {
      scene.tell('a', { records });
      scene.tell('b', { records: records * 2 });
    }
    assert.equal(scene.told.rates().processedPerSecond['cdc'], 15);
    scene.told.leave('processor:cdc@b');
    assert.equal(scene.told.rates().processedPerSecond['cdc'], 5);
  });
});

describe('a connector that waits behind another', () => {
  test('is not the one that works', () => {
    const scene = new Scene();
    scene.tellConnector('first', 'streaming');
    scene.tellConnector('second', 'waiting');
    assert.equal(scene.told.connector?.worker, 'first');
    scene.tellConnector('second', 'streaming');
    scene.tellConnector('first', 'streaming');
    assert.equal(scene.told.connector?.worker, 'second');
  });

  test('is stopped when nothing is heard of it', () => {
    const scene = new Scene();
    scene.tellConnector('first', 'streaming');
    scene.nowMs += 15_000;
    assert.equal(scene.told.connector?.state, 'stopped');
    assert.match(scene.told.connector?.problem ?? '', /nothing was heard of first/);
  });
});
