import { must } from '../../src/lib/must.ts';
import { seededRandom } from '../random.ts';

export const SCENARIOS = [
  'up under load',
  'capture alone',
  'PostgreSQL under up',
  'the first copy',
  'both at once',
] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** Who is ended with -9. A postmaster's children notice by themselves that it is gone. */
export type Victim = 'millrace' | 'postgres' | 'postmaster' | 'both';

export type Kill = Readonly<{
  victim: Victim;
  /** What must have been seen before the time runs: at once after the start, a copy, or streaming. */
  since: 'start' | 'copy' | 'stream';
  afterMs: number;
  /** Until the victim is started again. */
  restMs: number;
}>;

export type RoundPlan = Readonly<{
  seed: number;
  scenario: Scenario;
  kills: readonly Kill[];
  /** In each of the larger tables when the first copy begins. */
  copiedRows: number;
  /** Of the topic of one table. */
  partitions: number;
}>;

export type RoundSize = Readonly<{ kills: number; copiedRows: number }>;

const VICTIMS: Readonly<Record<Scenario, readonly Victim[]>> = {
  'up under load': ['millrace'],
  'capture alone': ['millrace', 'millrace', 'postgres', 'both'],
  'PostgreSQL under up': ['postgres', 'postmaster'],
  'the first copy': ['millrace', 'millrace', 'postgres', 'both'],
  'both at once': ['both'],
};

/** What a round does is its seed's alone; seeds that follow each other go through all scenarios. */
export function planOf(seed: number, size: RoundSize): RoundPlan {
  const random = seededRandom(seed);
  const pick = <T>(from: readonly T[]): T =>
    must(from[Math.floor(random() * from.length)], 'there is something to pick');
  const scenario = must(SCENARIOS[seed % SCENARIOS.length], 'seeds are positive');
  const kills = Array.from({ length: size.kills }, (): Kill => {
    const victim = pick(VICTIMS[scenario]);
    const since = pick(sinceOf(scenario, victim));
    return {
      victim,
      since,
      afterMs: Math.floor(random() * (since === 'copy' ? 300 : 1500)),
      restMs: pick([0, 0, Math.floor(random() * 500)]),
    };
  });
  return { seed, scenario, kills, copiedRows: size.copiedRows, partitions: pick([1, 3]) };
}

/** An `up` whose server is killed before it is up ends, and says so; a running one starts it again. */
function sinceOf(scenario: Scenario, victim: Victim): readonly Kill['since'][] {
  if (scenario === 'the first copy') return ['copy'];
  const mayBeStarting = scenario === 'capture alone' || victim === 'millrace' || victim === 'both';
  return mayBeStarting ? ['start', 'stream', 'stream'] : ['stream'];
}
