/** Unwraps a value that is there by a rule the types cannot see; `why` names the rule. */
export function must<T>(value: T | undefined | null, why: string): T {
  if (value === undefined || value === null) throw new Error(`bug: missing, though ${why}`);
  return value;
}
