import { parentPort, workerData } from 'node:worker_threads';
import { openEnvironment, transact } from '../../src/adapters/lmdb/log-environment.ts';
import { useGate } from '../../src/adapters/lmdb/transaction-gate.ts';

/*
 * Counts in two keys, one transaction after the other, each of which takes its time between them,
 * until it is terminated. Posts once, in the middle of the third.
 */
const { file, gate, aside } = workerData as Readonly<{
  file: string;
  gate: SharedArrayBuffer;
  aside: boolean;
}>;
useGate(gate);
const db = openEnvironment(file, 1 << 24);
const clock = new Int32Array(new SharedArrayBuffer(4));
for (let n = 1; ; n += 1) {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(n);
  await transact(
    db,
    () => {
      db.putSync(['first'], count);
      if (n === 3) parentPort?.postMessage('in the middle');
      Atomics.wait(clock, 0, 0, 50);
      db.putSync(['last'], count);
    },
    aside,
  );
}
