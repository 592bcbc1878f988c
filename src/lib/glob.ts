/** Whether a pattern has any wildcard: `*` for any text, `?` for one character. */
export function isGlob(pattern: string): boolean {
  return /[*?]/.test(pattern);
}

/** What every match of the pattern starts with. */
export function literalPrefixOf(pattern: string): string {
  return /^[^*?]*/.exec(pattern)?.[0] ?? '';
}

export function globMatcher(pattern: string): (text: string) => boolean {
  const source = pattern
    .replaceAll(/[\\^$.|+()[\]{}]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const expression = new RegExp(`^${source}$`, 'su');
  return (text) => expression.test(text);
}
