import { median } from './statistics.ts';

/** A bench's result by name; units are part of the name. */
export type Figures = Readonly<Record<string, number>>;

/** What one run of ours cost. */
export type Run = Readonly<{ rowsPerS: number; cpuUs: number; privateMb: number }>;

/** Medians over the rounds; the ratio is taken round by round, as a machine's speed drifts. */
export function compared(ours: readonly Run[], peerRowsPerS: readonly number[]): Figures {
  const ratios = ours.map(({ rowsPerS }, round) => rowsPerS / (peerRowsPerS[round] ?? Number.NaN));
  return {
    rows_per_s: Math.round(median(ours.map(({ rowsPerS }) => rowsPerS))),
    peer_rows_per_s: Math.round(median(peerRowsPerS)),
    ratio: hundredths(median(ratios)),
    cpu_us_per_change: hundredths(median(ours.map(({ cpuUs }) => cpuUs))),
    peak_private_mb: Math.round(Math.max(...ours.map(({ privateMb }) => privateMb))),
  };
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
