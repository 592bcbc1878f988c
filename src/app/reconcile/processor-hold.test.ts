import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { append, INPUT, order, OUTPUT, totals } from '../../../test/stream.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { must } from '../../lib/must.ts';
import { CommandSender } from '../operations/command-sender.ts';
import { composeProcessors } from '../compose.ts';
import { ProcessorHold } from './processor-hold.ts';
import { partitionsOfProcessors } from './processor-partitions.ts';
import { StatusBoard } from '../status/status-board.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { StoreRest } from './store-rest.ts';
import { declaredTopics } from '../topics.ts';

const PARTITIONS = 4;
const never = new AbortController().signal;

/** A processor that workers share, each with its statuses, and an operator who looks on. */
class Scene implements AsyncDisposable {
  /** With gaps between the offsets, as transactions in Kafka leave them. */
  readonly log = new MemoryEventLog({ markers: true });
  readonly store = new MemoryStore();
  readonly statuses = new StatusBoard(this.log);
  readonly #stack = new AsyncDisposableStack();

  static async make(...workers: readonly string[]): Promise<Scene> {
    const scene = new Scene();
    await scene.log.createTopics([
      ...declaredTopics(['orders']),
      { name: INPUT, partitions: PARTITIONS, cleanup: 'delete' },
      { name: OUTPUT, partitions: 1, cleanup: 'delete' },
    ]);
    scene.#run((stop) => scene.statuses.run(stop));
    await scene.appendToAll();
    for (const worker of workers) scene.work(worker);
    if (workers.length > 0) await scene.untilDone();
    return scene;
  }

  /** One order to each partition. */
  appendToAll(): Promise<void> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
    return append(
      this.log,
      partitions.map((partition) => order(partition, '1', partition)),
    );
  }

  /** Starts a worker; returns what stops it. */
  work(worker: string): () => Promise<void> {
    const { log, store } = this;
    const pipeline = { name: 'test', processors: [totals()] };
    const onChange = (): void => publisher.changed();
    const parts = composeProcessors(pipeline, { log, store }, { bufferRecords: 100, onChange });
    const publisher = new StatusPublisher('stream', log, parts, worker);
    const ends = [...parts, publisher].map((part) => this.#run((stop) => part.run(stop)));
    return async () => {
      for (const end of ends) await end();
    };
  }

  async hold(): Promise<ProcessorHold> {
    const { log, statuses } = this;
    const commands = new CommandSender(log, Date.now);
    return new ProcessorHold({ commands, statuses, processors: await this.processors() });
  }

  processors() {
    return partitionsOfProcessors([totals()], this.log);
  }

  async ends(): Promise<Record<string, number>> {
    const partitions = must((await this.processors()).get('orders'), 'there is one processor');
    const ends = partitions.map(async (partition) => {
      const { end } = await this.log.offsets(partition);
      return [`${partition.topic}-${partition.partition}`, end] as const;
    });
    return Object.fromEntries(await Promise.all(ends));
  }

  /** Until every partition has a worker, and that has read it to its end. */
  async untilDone(): Promise<void> {
    const ends = await this.ends();
    await this.statuses.until(() => {
      const tasks = this.statuses.processor('orders')?.tasks ?? [];
      const done = tasks.flatMap(({ partitions }) => partitions);
      const isDone = done.every(
        ({ topic, partition, offset }) => offset >= (ends[`${topic}-${partition}`] ?? 0),
      );
      return (done.length === PARTITIONS && isDone) || undefined;
    }, never);
  }

  async rest(targets: Record<string, number>): Promise<StoreRest> {
    const { log, store } = this;
    return StoreRest.prove({ log, store, processors: await this.processors(), targets }, never);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  #run(run: (stop: AbortSignal) => Promise<void>): () => Promise<void> {
    const stop = new AbortController();
    const running = run(stop.signal);
    const end = async (): Promise<void> => {
      stop.abort();
      await running;
    };
    this.#stack.defer(end);
    return end;
  }
}

describe('a hold of a processor that workers share', () => {
  test('is reached when all of them rest, at the places that were named', async () => {
    await using scene = await Scene.make('a', 'b');
    await using hold = await scene.hold();
    const held = await hold.place('now', never);
    const atEnds = await scene.ends();
    assert.deepEqual(held.get('orders'), atEnds);
    await scene.appendToAll();
    const targets = await scene.ends();
    await scene.appendToAll();
    const places = await hold.place(targets, never);
    assert.deepEqual(places.get('orders'), targets);
    assert.ok(hold.isKept());
    await (await scene.rest(targets)).check();
    assert.deepEqual(await scene.store.get('count', 0), { type: 'string', value: '8' });
    await hold[Symbol.asyncDispose]();
    await scene.untilDone();
    assert.deepEqual(await scene.store.get('count', 0), { type: 'string', value: '12' });
  });

  test('is told to a worker that comes in later', async () => {
    await using scene = await Scene.make('a', 'b');
    await using hold = await scene.hold();
    await hold.place('now', never);
    scene.work('c');
    await scene.statuses.until(() => {
      const workers = new Set(scene.statuses.processor('orders')?.tasks.map((task) => task.worker));
      return (
        (workers.has('c') && scene.statuses.processor('orders')?.state === 'held') || undefined
      );
    }, never);
    assert.ok(hold.isKept());
  });

  test('is not kept by a worker that has gone past its place', async () => {
    await using scene = await Scene.make('a', 'b');
    await using hold = await scene.hold();
    const targets = { ...(await scene.ends()), [`${INPUT}-2`]: 0 };
    await assert.rejects(hold.place(targets, never), {
      code: 'reconcile_disturbed',
      facts: { expected: `orders at rest before offset 0 of ${INPUT}-2`, found: 'it went on to 2' },
    });
  });

  test('ends when the last worker has gone', async () => {
    await using scene = await Scene.make();
    const stop = scene.work('a');
    await scene.untilDone();
    await using hold = await scene.hold();
    await hold.place('now', never);
    await stop();
    await scene.statuses.until(() => scene.statuses.workers.length === 0 || undefined, never);
    assert.ok(!hold.isKept());
  });
});

describe('a store at rest', () => {
  test('has stored every record before the targets, and need not have stored offsets that hold none', async () => {
    await using scene = await Scene.make();
    const ends = await scene.ends();
    for (const [id, end] of Object.entries(ends)) {
      const to = { [id]: end - 1 };
      const nothing = { state: [], served: [], outgoing: [] };
      await scene.store.commit({ task: `orders/${id}`, from: {}, to, ...nothing });
    }
    await scene.rest(ends);
  });

  test('is not one whose task has records to take in before its target', async () => {
    await using scene = await Scene.make('a');
    await using hold = await scene.hold();
    await hold.place('now', never);
    await scene.appendToAll();
    await assert.rejects(scene.rest(await scene.ends()), {
      code: 'reconcile_disturbed',
      facts: { expected: `orders/${INPUT}-0 at offset 4`, found: 'it has yet to take in offset 2' },
    });
  });

  test('is not one whose task is past its target', async () => {
    await using scene = await Scene.make('a');
    await assert.rejects(scene.rest({ ...(await scene.ends()), [`${INPUT}-3`]: 0 }), {
      code: 'reconcile_disturbed',
      facts: { expected: `orders/${INPUT}-3 at offset 0`, found: 'it is past it, at 2' },
    });
  });

  test('is none any more when a worker commits, though nobody tells of it', async () => {
    await using scene = await Scene.make('a');
    await using hold = await scene.hold();
    const places = must((await hold.place('now', never)).get('orders'), 'it is held');
    const rest = await scene.rest(places);
    await rest.check();
    const task = `orders/${INPUT}-2`;
    const from = await scene.store.offsets(task);
    const to = { ...from, replays: 1 };
    await scene.store.commit({ task, from, to, state: [], served: [], outgoing: [] });
    assert.ok(hold.isKept());
    await assert.rejects(rest.check(), { code: 'reconcile_disturbed' });
  });
});
