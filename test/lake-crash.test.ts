import { test } from 'node:test';
import { killLakeWriter } from './crash/lake-kills.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

test(`a lake equals its log whenever its writer is killed (SEED=${SEED})`, async (t) => {
  const { records, versions } = await killLakeWriter({ seed: SEED, kills: 3 }, t.signal);
  t.diagnostic(`${records} records, ${versions} manifests`);
});
