import { lstat, readFile, readlink, stat } from 'node:fs/promises';

/**
 * The text of a file of the project, or in words what keeps it from being read; undefined when nothing
 * has its name.
 */
export async function readProjectFile(
  path: string,
): Promise<Readonly<{ text: string } | { problem: string }> | undefined> {
  try {
    const found = await lstat(path);
    const { isLink, target } = found.isSymbolicLink()
      ? { isLink: true, target: await stat(path).catch(nothing) }
      : { isLink: false, target: found };
    if (target === undefined)
      return { problem: `it is a link to ${await readlink(path)}, where nothing is` };
    const what = isLink ? `a link to ${await readlink(path)}, which is ` : '';
    if (target.isDirectory()) return { problem: `expected a file, found ${what}a folder` };
    // To read a pipe or a device could take for ever.
    if (!target.isFile()) return { problem: `expected a file, found ${what}something else` };
    return { text: UTF_8.decode(await readFile(path)) };
  } catch (error) {
    if (!isReadFailure(error)) throw error;
    return error.code === 'ENOENT' ? undefined : { problem: wordsOf(error) };
  }
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

type ReadFailure = Error & Readonly<{ code: string }>;

/** Of the file system, or of the decoder. */
function isReadFailure(error: unknown): error is ReadFailure {
  return error instanceof Error && 'code' in error;
}

function nothing(error: unknown): undefined {
  if (!isReadFailure(error) || error.code !== 'ENOENT') throw error;
}

function wordsOf({ code, message }: ReadFailure): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'this user may not read it';
    case 'ELOOP':
      return 'it is a link that leads back to itself';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'expected text in UTF-8, found something else';
    default:
      return message;
  }
}
