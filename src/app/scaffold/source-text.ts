/** A string literal, in the quotes that need fewer escapes. */
export function literal(text: string): string {
  const inner = JSON.stringify(text)
    .slice(1, -1)
    .replaceAll(String.raw`\"`, '"');
  const singles = inner.split(`'`).length;
  const doubles = inner.split('"').length;
  if (singles > doubles) return `"${inner.replaceAll('"', String.raw`\"`)}"`;
  return `'${inner.replaceAll(`'`, String.raw`\'`)}'`;
}

export function propertyName(name: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? name : literal(name);
}
