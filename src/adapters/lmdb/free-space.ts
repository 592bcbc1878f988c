import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';

/** More than all writers of a process take at once beyond what they announce. */
const RESERVE_BYTES = 16 << 20;

/**
 * Throws `disk_full` while writing `bytes` more to `file` could fill its disk.
 *
 * LMDB must not find that out: for its message about a write that found no room lmdb-js 3.5 takes
 * 100 bytes (mdb.c, `last_error`), positions and sizes of seven digits need more, and the process
 * dies of a damaged heap.
 */
export function refuseFullDisk(file: string, bytes = 0): void {
  const { bavail, bsize } = statfsSync(dirname(file));
  const freeBytes = bavail * bsize;
  if (freeBytes < RESERVE_BYTES + bytes)
    throw new MillraceError('disk_full', {
      file,
      freeBytes,
      expected: `at least ${RESERVE_BYTES + bytes} bytes free`,
    });
}
