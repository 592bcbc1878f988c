/*
 * What the store keeps, in one tree, by the first letter of its keys:
 *
 *   f                          the version of this format
 *   n                          the last number given to a task or a set
 *   g <prefix>                 a range of keys that nobody sees any more, to be removed
 *   t <task>                   JSON: the task's number, offsets, last sequence
 *   s <number> <key>           state of a task: the value
 *   o <number> <sequence>      outgoing chunk of a task: bytes, all other values are text
 *   v <key>                    served key: "v" value | "x" expiry ":" value | "m" number ":" count
 *   m <number> <member>        member of a set: empty
 *   e <time> <key>             index of the served keys that expire: empty
 *
 * A served key that expires is in the index at its expiry or before it. What the index says of a key
 * that no longer expires then is put right when its time has come: writing a key anew, with another
 * expiry, does not touch the index.
 *
 * Tasks and sets are numbered, so that their names are stored once, and so that one is dropped by
 * forgetting its number, whatever its size.
 */
export const FORMAT = 'f';
export const LAST_NUMBER = 'n';
export const GARBAGE = 'g';
export const TASKS = 't';
export const SERVED = 'v';
export const EXPIRIES = 'e';

const NUMBER_DIGITS = 7;
const TIME_DIGITS = 16;
const SEQUENCE_DIGITS = 16;

export const taskKey = (task: string): string => `${TASKS}${task}`;
export const servedKey = (key: string): string => `${SERVED}${key}`;
export const garbageKey = (prefix: string): string => `${GARBAGE}${prefix}`;
/** The prefix that an entry of the garbage names. */
export const garbagePrefix = (key: string): string => key.slice(GARBAGE.length);

export const statePrefix = (number: number): string => `s${fixed(number)}`;
export const outgoingPrefix = (number: number): string => `o${fixed(number)}`;
export const membersPrefix = (number: number): string => `m${fixed(number)}`;

export function outgoingKey(number: number, sequence: number): string {
  return `${outgoingPrefix(number)}${digits(sequence, SEQUENCE_DIGITS)}`;
}

export function outgoingSequence(key: string): number {
  return Number(key.slice(-SEQUENCE_DIGITS));
}

export function expiryKey(expiresAtMs: number, key: string): string {
  return `${expiryPrefix(expiresAtMs)}${key}`;
}

export function expiryPrefix(expiresAtMs: number): string {
  return `${EXPIRIES}${digits(Math.max(0, Math.ceil(expiresAtMs)), TIME_DIGITS)}`;
}

/** The served key that an entry of the index names. */
export function expiringKey(indexKey: string): string {
  return indexKey.slice(EXPIRIES.length + TIME_DIGITS);
}

/** Seven digits to the base 36: 78 billion tasks and sets. */
function fixed(number: number): string {
  return number.toString(36).padStart(NUMBER_DIGITS, '0');
}

function digits(number: number, length: number): string {
  return String(number).padStart(length, '0');
}
