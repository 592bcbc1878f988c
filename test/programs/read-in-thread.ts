import { parentPort, workerData } from 'node:worker_threads';
import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';

// Reads `topic` of the log given and posts each value; says first that it reads.
const { dir, wake } = workerData as { dir: string; wake: SharedArrayBuffer };
await using log = await LmdbEventLog.open({
  dir,
  wake,
  retention: { ms: 3_600_000, bytes: 1 << 30 },
});
parentPort?.postMessage('reading');
const stop = new AbortController();
parentPort?.once('message', () => stop.abort());
const from = { topic: 'topic', partition: 0, offset: 0 };
for await (const { records } of log.read(from, stop.signal)) {
  for (const { value } of records) parentPort?.postMessage(Buffer.from(value ?? []).toString());
}
parentPort?.postMessage('ended');
