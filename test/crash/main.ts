import { parseArgs } from 'node:util';
import { traceConfirmations } from './confirmations.ts';
import { killLakeWriter } from './lake-kills.ts';
import { killModelRuns } from './model-kills.ts';
import { planOf, type RoundPlan } from './plan.ts';
import { runRound } from './round.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
  },
});
/** Of the lake's writer. */
const LAKE_KILLS = 20;

const rounds = natural('rounds', values.rounds);
const firstSeed = natural('seed', values.seed);

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`ended by ${signal}`)));

await checkConfirmations();
await checkModelRuns();
await checkLake();
for (let seed = firstSeed; seed < firstSeed + rounds && !interrupted.signal.aborted; seed += 1)
  await run(planOf(seed, { kills: 4, copiedRows: 30_000 }));

async function run(plan: RoundPlan): Promise<void> {
  const startedMs = performance.now();
  const seconds = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  const what = `seed ${plan.seed}, ${plan.scenario}, kills ${plan.kills.map(({ victim }) => victim).join(' ')}`;
  try {
    const { transactions, records, copiedLate } = await runRound(plan, interrupted.signal);
    console.log(
      `ok ${what}: ${transactions} transactions, ${records} records (${copiedLate} copied after a crash in the copy) without loss, double or disorder, store equal to source, ${seconds()}`,
    );
  } catch (error) {
    console.error(
      `FAILED ${what} after ${seconds()}; again: npm run test:crash -- --rounds 1 --seed ${plan.seed}`,
    );
    console.error(error);
    process.exitCode = 1;
  }
}

async function checkConfirmations(): Promise<void> {
  try {
    const { confirmations, fdatasyncs } = await traceConfirmations();
    console.log(
      `ok ${confirmations} confirmations, each of what one of ${fdatasyncs} fdatasyncs had put on the disk`,
    );
  } catch (error) {
    console.error('FAILED: every confirmation follows an fdatasync');
    console.error(error);
    process.exitCode = 1;
  }
}

async function checkLake(): Promise<void> {
  const plan = { seed: firstSeed, kills: LAKE_KILLS };
  try {
    const { records, versions } = await killLakeWriter(plan, interrupted.signal);
    console.log(
      `ok a lake's writer killed ${LAKE_KILLS} times: the lake held the log's ${records} records after ${versions} commits, each once`,
    );
  } catch (error) {
    console.error(
      `FAILED: the lake equals the log; again: npm run test:crash -- --seed ${firstSeed}`,
    );
    console.error(error);
    process.exitCode = 1;
  }
}

/** As many kills as the rounds have together. */
async function checkModelRuns(): Promise<void> {
  const kills = rounds * 4;
  try {
    const found = await killModelRuns({ seed: firstSeed, kills }, interrupted.signal);
    console.log(
      `ok ${kills} kills of runs of models: ${found.looks} looks at the results of ${found.results} runs, each old or new as a whole`,
    );
  } catch (error) {
    console.error(`FAILED kills of runs of models, seed ${firstSeed}`);
    console.error(error);
    process.exitCode = 1;
  }
}

// What an interrupted round left waiting must not hold the process.
if (interrupted.signal.aborted) process.exit(130);

function natural(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name}: expected a whole number above 0, found "${text}"`);
  process.exit(2);
}
