type Source = Readonly<{ source?: string }>;
type ExactJson = Readonly<{
  parse(text: string, reviver: (key: string, value: unknown, context: Source) => unknown): unknown;
  rawJSON(text: string): unknown;
}>;

// https://tc39.es/proposal-json-parse-with-source/ which the compiler's library does not know yet.
const { parse, rawJSON } = JSON as unknown as ExactJson;

/**
 * As `JSON.parse`, but a number that a double cannot hold, such as a time in nanoseconds, becomes
 * an opaque value that `JSON.stringify` writes back digit by digit; or what `inexact` makes of it.
 */
export function parseExactJson(
  text: string,
  inexact: (source: string, rounded: number) => unknown = rawJSON,
): unknown {
  return parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && source !== String(value)
      ? inexact(source, value)
      : value,
  );
}
