/**
 * A value of state as it would be after a restart, and frozen: so a function that counts on more than
 * JSON keeps, or changes what it is given, fails in its test.
 */
export function keptValue(value: unknown): unknown {
  if (value === undefined) return undefined;
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`state must be JSON, found a ${typeof value}`);
  return frozen(JSON.parse(text));
}

function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const each of Object.values(value)) frozen(each);
  return Object.freeze(value);
}
