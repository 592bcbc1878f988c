/** The known word that is closest to a misspelt one; undefined when none is close. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const lower = word.toLowerCase();
  let best: Readonly<{ known: string; distance: number }> | undefined;
  for (const each of known) {
    const distance = editDistance(lower, each.toLowerCase());
    const limit = Math.max(1, Math.floor(Math.max(word.length, each.length) / 3));
    if (
      distance <= limit &&
      distance < word.length &&
      (best === undefined || distance < best.distance)
    )
      best = { known: each, distance };
  }
  return best?.known;
}

/** `; did you mean orders?`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const found = nearest(word, known);
  return found === undefined ? '' : `; did you mean ${found}?`;
}

/** Insertions, deletions and replacements of single characters, and swaps of two neighbours. */
function editDistance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min(replaced, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
