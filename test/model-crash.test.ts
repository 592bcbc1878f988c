import { test } from 'node:test';
import { killModelRuns } from './crash/model-kills.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

test(`results are old or new whenever a run of models is killed (SEED=${SEED})`, async (t) => {
  const { looks, results } = await killModelRuns({ seed: SEED, kills: 4 }, t.signal);
  t.diagnostic(`${looks} looks at the results of ${results} runs`);
});
