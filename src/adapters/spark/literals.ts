/**
 * SQL whose literals mean to Spark what they mean elsewhere: Spark takes a backslash in them for an
 * escape, and before version 4 a doubled quote for the end of one literal and the start of another.
 */
export function withSparkLiterals(sql: string): string {
  return sql.replaceAll(TOKENS, (token) =>
    token.startsWith("'")
      ? `'${token.slice(1, -1).replaceAll('\\', '\\\\').replaceAll("''", "\\'")}'`
      : token,
  );
}

/** Comments and quoted names are matched to be passed over: what looks like a literal there is none. */
const TOKENS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|\/\*.*?\*\//gs;
