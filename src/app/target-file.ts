import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MillraceError } from '../domain/errors.ts';

/** Before anything is asked: throws `usage` where no file can be written, or put in place of one. */
export async function checkTargetFile(file: string): Promise<void> {
  const dir = dirname(file);
  const folder = await stat(dir).catch(() => undefined);
  if (folder?.isDirectory() !== true)
    throw new MillraceError('usage', { expected: 'a folder that is there', found: dir });
  const target = await stat(file).catch(() => undefined);
  if (target?.isDirectory() === true)
    throw new MillraceError('usage', {
      expected: 'a file to write to',
      found: `a folder, ${file}`,
    });
  await access(dir, constants.W_OK).catch((error: unknown) => {
    const found = `${dir}, which it may not`;
    throw new MillraceError(
      'usage',
      { expected: 'a folder that this user may write to', found },
      error,
    );
  });
}
