import type { TaskOffsets } from '../../ports/store.ts';

/** A task as it is stored. */
export type TaskEntry = Readonly<{
  /** Its state and outgoing chunks are found under this. */
  number: number;
  /** Absent when the task was dropped, and has not committed since. */
  offsets?: TaskOffsets;
  lastSequence: number;
}>;

export function parseTask(text: string): TaskEntry {
  return JSON.parse(text) as TaskEntry;
}

/** A served key as it is stored. */
export type ServedEntry =
  | Readonly<{ type: 'string'; value: string; expiresAtMs?: number }>
  /** The members are found under `number`. */
  | Readonly<{ type: 'set'; number: number; count: number }>;

export function formatServed(entry: ServedEntry): string {
  if (entry.type === 'set') return `m${entry.number}:${entry.count}`;
  return entry.expiresAtMs === undefined
    ? `v${entry.value}`
    : `x${entry.expiresAtMs}:${entry.value}`;
}

export function parseServed(text: string): ServedEntry {
  const rest = text.slice(1);
  if (text.startsWith('v')) return { type: 'string', value: rest };
  const colon = rest.indexOf(':');
  const first = Number(rest.slice(0, colon));
  const second = rest.slice(colon + 1);
  return text.startsWith('x')
    ? { type: 'string', value: second, expiresAtMs: first }
    : { type: 'set', number: first, count: Number(second) };
}

export function isExpired(entry: ServedEntry, nowMs: number): boolean {
  return entry.type === 'string' && (entry.expiresAtMs ?? Infinity) <= nowMs;
}
