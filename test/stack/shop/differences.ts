import assert from 'node:assert/strict';

const MOST_SHOWN = 10;

/** Throws unless both have the same keys with the same values; shows the first that differ. */
export function assertSameKeys(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): void {
  const keys = [...new Set([...found.keys(), ...expected.keys()])].toSorted();
  const differing = keys.filter((key) => found.get(key) !== expected.get(key));
  const shown = differing
    .slice(0, MOST_SHOWN)
    .map((key) => `${key}: found ${found.get(key)}, expected ${expected.get(key)}`);
  assert.equal(differing.length, 0, `${differing.length} keys differ\n${shown.join('\n')}`);
}
