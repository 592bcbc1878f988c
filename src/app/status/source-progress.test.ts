import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { blocksOf } from '../../domain/record-block.ts';
import type { ConnectorStatus } from '../../domain/status.ts';
import { declaredTopics, STATUS } from '../topics.ts';
import { sourceProgress } from './source-progress.ts';

const NOW_MS = 1_000_000;
const { signal } = new AbortController();

class Scene {
  readonly log = new MemoryEventLog();
  nowMs = NOW_MS;

  static async make(): Promise<Scene> {
    const scene = new Scene();
    await scene.log.createTopics(declaredTopics([]));
    return scene;
  }

  progress(engine: 'native' | 'debezium'): () => Promise<number | undefined> {
    const read = sourceProgress(this.log, {
      connector: 'shop',
      engine,
      clock: () => this.nowMs,
    });
    return () => read(signal);
  }

  async tell(status: Partial<ConnectorStatus>): Promise<void> {
    const told: ConnectorStatus = {
      component: 'connector',
      name: 'shop',
      atMs: this.nowMs,
      state: 'streaming',
      slot: 's',
      publication: 'p',
      changes: 0,
      ...status,
    };
    const value = Buffer.from(JSON.stringify(told));
    const key = Buffer.from(`connector@${told.worker ?? ''}`);
    const record = { timestampMs: this.nowMs, key, value, headers: [] };
    const producer = await this.log.openProducer(`status of ${told.worker ?? ''}`);
    await producer.append(blocksOf([{ topic: STATUS, partition: 0, record }]));
  }
}

describe("the progress of a connector's source", () => {
  test('is what it told last, also before we came, and also by another worker', async () => {
    const scene = await Scene.make();
    await scene.tell({ passedMs: 5, worker: 'a' });
    const progress = scene.progress('native');
    assert.equal(await progress(), 5);
    assert.equal(await progress(), 5);
    await scene.tell({ passedMs: 9, worker: 'b' });
    await scene.tell({ passedMs: 7, worker: 'a' });
    assert.equal(await progress(), 9);
    await scene.tell({ state: 'copying', worker: 'b' });
    assert.equal(await progress(), 9);
  });

  test('is not known before the connector told any, nor from another connector', async () => {
    const scene = await Scene.make();
    const progress = scene.progress('native');
    assert.equal(await progress(), undefined);
    await scene.tell({ passedMs: 5, name: 'other' });
    await scene.tell({ state: 'copying' });
    scene.nowMs += 60_000;
    await scene.tell({ state: 'streaming' });
    assert.equal(await progress(), undefined);
  });

  test('of Debezium lags half a minute behind, once that was idle for so long', async () => {
    const scene = await Scene.make();
    const progress = scene.progress('debezium');
    await scene.tell({ changes: 3 });
    scene.nowMs += 29_999;
    await scene.tell({ changes: 3 });
    assert.equal(await progress(), undefined);
    scene.nowMs += 1;
    await scene.tell({ changes: 3 });
    assert.equal(await progress(), NOW_MS);
    scene.nowMs += 5000;
    await scene.tell({ changes: 4 });
    assert.equal(await progress(), NOW_MS);
    scene.nowMs += 40_000;
    await scene.tell({ changes: 4, state: 'waiting' });
    await scene.tell({ changes: 4 });
    assert.equal(await progress(), NOW_MS);
  });
});
