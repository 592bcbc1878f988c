/**
 * Reads one of Debezium's lists: comma-separated regular expressions, each matched whole and in any
 * case. Undefined for an empty one; what is wrong is added to `problems`.
 */
export function parseExpressions(
  option: string,
  list: string | undefined,
  problems: string[],
): RegExp[] | undefined {
  if (list === undefined || list.trim() === '') return undefined;
  const parts = list.split(/(?<!\\),/).map((part) => part.trim());
  try {
    return parts.map((part) => new RegExp(`^(?:${part})$`, 'i'));
  } catch (error) {
    problems.push(`${option}: expected regular expressions, found "${list}" (${String(error)})`);
    return undefined;
  }
}
