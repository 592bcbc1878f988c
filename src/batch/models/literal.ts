/** A value as an SQL literal that DuckDB and Spark read alike. */
export function sqlLiteral(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (typeof value === 'string') return sqlString(value);
  if (!Number.isFinite(value)) throw new Error(`bug: ${value} is no literal`);
  // Bare, a minus could meet another one, and begin a comment.
  return value < 0 || Object.is(value, -0) ? `(${value})` : String(value);
}

/**
 * Spark takes a backslash for an escape, and two quotes for the end of one literal and the begin of
 * the next: so these, and what would break a line, are written as `chr(…)`.
 */
export function sqlString(text: string): string {
  const parts = text.split(/(['\\\p{Cc}])/u).filter((part) => part !== '');
  if (parts.length === 0) return "''";
  const written = parts.map((part) =>
    /^['\\\p{Cc}]$/u.test(part) ? `chr(${part.charCodeAt(0)})` : `'${part}'`,
  );
  return written.length === 1 ? (written[0] ?? '') : `(${written.join(' || ')})`;
}

/** `TIMESTAMP '2026-01-31 12:00:00.000'`, in UTC. */
export function sqlTimestamp(ms: number): string {
  return `TIMESTAMP '${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')}'`;
}

export function sqlIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
