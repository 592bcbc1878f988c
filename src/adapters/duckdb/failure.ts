import { dirname } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';

/** What DuckDB says of a Parquet file that is not as it was written; the file's path in group 1. */
const DAMAGES = [
  /No files found that match the pattern "([^"]+\.parquet)"/,
  /File '(.+)' too small to be a Parquet file/,
  /No magic bytes found at end of file '(.+)'/,
  /Footer length error in file '(.+)'/,
  /Failed to read file "([^"]+\.parquet)"/,
  /Invalid string encoding found in Parquet file "([^"]+)"/,
];
/** The same, of which file it does not say. */
const UNNAMED_DAMAGE =
  /^Invalid (Input )?Error: (TProtocolException|Out of buffer|Variable-length int|don't know what type)/;

/** As `MillraceError` of the port's; what has a code stays as it is. */
export function failureOf(error: unknown, sql: string): unknown {
  if (error instanceof MillraceError || !(error instanceof Error)) return error;
  const said = error.message;
  if (/No space left on device|Disk quota exceeded/.test(said))
    return new MillraceError('disk_full', fullDisk(said), error);
  const damaged = damagedFile(said, sql);
  if (damaged !== undefined)
    return new MillraceError(
      'lake_file_damaged',
      { file: damaged, problem: sentence(said) },
      error,
    );
  const line = /\n\nLINE (\d+): /.exec(said)?.[1];
  return new MillraceError(
    'sql_failed',
    { problem: problemOf(said), ...(line !== undefined && { line: Number(line) }) },
    error,
  );
}

export function isUnnamedDamage(failure: unknown): failure is MillraceError {
  if (!(failure instanceof MillraceError) || failure.code !== 'sql_failed') return false;
  return UNNAMED_DAMAGE.test(String(failure.facts['problem']));
}

/** That SQL reads: they stand in it as literals, and not as where it writes to. Each once. */
export function parquetFilesIn(sql: string): string[] {
  const found = new Set<string>();
  for (const [, to, text = ''] of sql.matchAll(/(\bTO\s+)?'((?:[^']|'')*)'/gi))
    if (to === undefined && text.endsWith('.parquet')) found.add(text.replaceAll("''", "'"));
  return [...found];
}

function fullDisk(said: string): Record<string, string> {
  const file = /"([^"]+)"/.exec(said)?.[1];
  return file === undefined ? { found: sentence(said) } : { dir: dirname(file) };
}

function damagedFile(said: string, sql: string): string | undefined {
  for (const each of DAMAGES) {
    const file = each.exec(said)?.[1];
    if (file !== undefined) return file;
  }
  // Removed after the statement began; the same words tell of a COPY into a folder that isn't there.
  const missing = /Cannot open file "([^"]+\.parquet)": No such file/.exec(said)?.[1];
  if (missing !== undefined && !sql.includes(`TO '${missing}`)) return missing;
  return undefined;
}

function problemOf(said: string): string {
  if (said.includes("'max_temp_directory_size'") || said.includes('failed to offload data block'))
    return `Out of disk for what does not fit in memory: the statement spilled more than it may. Select less, or raise MILLRACE_DUCKDB_MEMORY. (${sentence(said)})`;
  if (/^(Out of Memory Error|OutOfMemory)/.test(said))
    return `Out of memory: the statement needs more than MILLRACE_DUCKDB_MEMORY grants. Raise it, or have the statement hold less at once. (${sentence(said)})`;
  // What the binding says when the text holds no statement.
  if (said === 'Error in native callback') return 'There is no statement in it.';
  return sentence(said);
}

/** Without the drawing that points into the statement, advice on settings, and stacks. */
function sentence(said: string): string {
  return said
    .replace(/^Failed to extract statements: /, '')
    .replace(/\n\nLINE \d+: [^\n]*\n *\^/, '')
    .replace(/\nThis limit was set by[\s\S]*$/, '')
    .replace(/\n\n(Possible solutions:|Stack Trace:|Please try installing)[\s\S]*$/, '')
    .trim();
}
