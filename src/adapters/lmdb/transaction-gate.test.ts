import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { closeEnvironment, openEnvironment, transact } from './log-environment.ts';
import { closeGate, gateMemory } from './transaction-gate.ts';

for (const aside of [true, false]) {
  test(`a thread is terminated between its transactions ${aside ? 'aside' : 'on its own'}, never within one`, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-gate-'));
    const file = join(dir, 'a.mdb');
    const gate = gateMemory();
    try {
      const program = new URL('../../../test/programs/transact-in-thread.ts', import.meta.url);
      const worker = new Worker(program, { workerData: { file, gate, aside } });
      await once(worker, 'message');
      await closeGate(gate);
      await worker.terminate();
      const db = openEnvironment(file, 1 << 24);
      const count = (key: string) => db.get([key])?.readUInt32LE(0) ?? 0;
      assert.ok(count('first') > 0);
      assert.equal(count('first'), count('last'), 'no part of a transaction is there');
      await transact(db, () => db.putSync(['next'], Buffer.from('x')), false);
    } finally {
      await closeEnvironment(file);
      await rm(dir, { recursive: true, force: true });
    }
  });
}
