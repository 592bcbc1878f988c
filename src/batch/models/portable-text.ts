import type { Finding } from './portability.ts';

const FROM_FIRST = {
  construct: 'FROM before SELECT',
  why: 'Spark 3 does not know all of it',
  form: 'SELECT … FROM …',
  pattern: /^\(\s*FROM\b/i,
} as const;

/** What the parser leaves no trace of: how text, numbers and lists are written. */
export const TEXT_RULES = [
  {
    construct: "a quote or a backslash within ''",
    why: 'Spark takes a backslash for an escape, and Spark 3 two quotes for the end of the text',
    form: "'O' || chr(39) || 'Hara', chr(92) for a backslash",
    pattern: /^'.*(''|\\).*'$/s,
  },
  {
    construct: "text in $$ or E''",
    why: 'Spark does not know it',
    form: "'…', with chr(10) for a line's end",
    pattern: /^(\$|[eE]')/,
  },
  {
    construct: 'a number with _ or 0x',
    why: 'Spark does not know it',
    form: 'its digits',
    pattern: /^\d[\d_]*_\d|^0x/i,
  },
  {
    construct: 'a comma at the end of a list',
    why: 'Spark does not know it',
    form: 'the list without it',
    pattern: /^,\s*(?=\)|FROM\b)/i,
  },
  {
    construct: 'count()',
    why: 'Spark does not know it',
    form: 'COUNT(*)',
    pattern: /^count\s*\(/i,
  },
  FROM_FIRST,
] as const;

const TOKEN =
  /count\s*\(\s*\)|--[^\n]*|\/\*[^]*?\*\/|[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-zA-Z_]*)\$[^]*?\$\1\$|[\p{L}_][\p{L}\p{N}_]*|0x[0-9a-f]+|\d[\d_]*|,\s*(?:\)|from\b)|\(\s*from\b|[^]/giu;

export function textFindings(sql: string): readonly Finding[] {
  const findings: Finding[] = [];
  let isFirst = true;
  let location = 0;
  for (const [token] of sql.matchAll(TOKEN)) {
    for (const { construct, why, form, pattern } of TEXT_RULES)
      if (pattern.test(token)) findings.push({ location, construct, why, form });
    if (isFirst && /^from$/i.test(token)) {
      const { construct, why, form } = FROM_FIRST;
      findings.push({ location, construct, why, form });
    }
    if (!/^(\s|--|\/\*)/.test(token)) isFirst = false;
    location += Buffer.byteLength(token);
  }
  return findings;
}
