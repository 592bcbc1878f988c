import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';
import { LmdbStore } from '../../src/adapters/lmdb/store.ts';
import { blocksOf } from '../../src/domain/record-block.ts';

/*
 * Does, round after round, all that threads do to the log and the store at once: small appends and large
 * ones, rolls, removals, commits, sweeps, and opening both anew. Posts what it has appended.
 */
const { logDir, storeDir, wake, name, rounds } = workerData as Readonly<{
  logDir: string;
  storeDir: string;
  wake: SharedArrayBuffer;
  name: string;
  rounds: number;
}>;
let appended = 0;
let committed = 0;
for (let round = 0; round < rounds; round += 1) {
  await using log = await LmdbEventLog.open({
    dir: logDir,
    wake,
    retention: { ms: 3_600_000, bytes: 2 << 20 },
    segmentBytes: 256 << 10,
  });
  await using store = await LmdbStore.open({ dir: storeDir });
  const turns = 60;
  await Promise.all([
    append(log, 'small', turns * 2, () => Buffer.from(`{"n":${appended}}`)),
    append(log, 'large', turns / 4, () => randomBytes(60_000), 3),
    commit(store, turns),
    keepHouse(log, store, turns / 5),
  ]);
}
parentPort?.postMessage({ appended, committed });

async function append(
  log: LmdbEventLog,
  kind: string,
  times: number,
  value: () => Buffer,
  blocks = 1,
): Promise<void> {
  const producer = await log.openProducer(`${name} ${kind}`);
  for (let n = 0; n < times; n += 1) {
    const records = Array.from({ length: blocks }, () => ({
      topic: 'topic',
      partition: 0,
      record: { key: null, value: value(), timestampMs: n, headers: [] },
    }));
    await producer.append(blocksOf(records));
    appended += blocks;
  }
  await producer.close();
}

async function commit(store: LmdbStore, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const from = await store.offsets(name);
    const to = { 'topic-0': committed + 1 };
    const state = [[`key ${n}`, `value ${n}`]] as const;
    await store.commit({ task: name, from, to, state, served: [], outgoing: [] });
    committed += 1;
  }
}

async function keepHouse(log: LmdbEventLog, store: LmdbStore, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await log.applyRetention();
    await store.sweep(Date.now());
  }
}
