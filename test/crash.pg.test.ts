import { describe, test } from 'node:test';
import { planOf } from './crash/plan.ts';
import { runRound } from './crash/round.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

// At once: they mostly wait for disks and for each other's processes.
describe('kill -9 loses, doubles and reorders nothing', { concurrency: true }, () => {
  for (const seed of [SEED, SEED + 1, SEED + 2]) {
    const plan = planOf(seed, { kills: 2, copiedRows: 5000 });
    test(`${plan.scenario} (SEED=${seed})`, { timeout: 110_000 }, async (t) => {
      const { transactions, records, copiedLate } = await runRound(plan, t.signal);
      t.diagnostic(`${transactions} transactions, ${records} records, ${copiedLate} copied late`);
    });
  }
});
