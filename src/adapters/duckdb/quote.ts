/** An identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
