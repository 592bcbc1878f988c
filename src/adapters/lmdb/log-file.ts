import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { endianness } from 'node:os';
import { MillraceError } from '../../domain/errors.ts';

/*
 * LMDB's two first pages each hold a meta record, of which the one with the higher transaction id
 * counts. In the machine's byte order, after a page header of 24 bytes (`MDB_meta` in mdb.c):
 *
 *   magic u32 | version u32 | address u64 | map size u64 | free db (48 bytes, page size u32 first)
 *   | main db (48 bytes) | last page u64 | transaction id u64
 */
const META = 24;
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const PAGE_SIZE_AT = META + 24;
const LAST_PAGE_AT = META + 120;
const TRANSACTION_AT = META + 128;
const META_BYTES = META + 136;

// Pages that a transaction both took and gave back may lie past the file's end.
const SPARE_PAGES = 64;

/**
 * Refuses a file that LMDB would crash on: it maps files into memory, and takes what it finds
 * there, or misses there, for granted.
 */
export function refuseDamaged(file: string): void {
  const descriptor = openSync(file, 'r');
  try {
    const fileBytes = fstatSync(descriptor).size;
    const first = metaAt(descriptor, 0);
    if (first === undefined) {
      throw new MillraceError('log_corrupt', { file, found: 'not a file of this log', fileBytes });
    }
    const second = metaAt(descriptor, first.pageSize);
    const newest = second !== undefined && second.transaction > first.transaction ? second : first;
    const needed = (newest.lastPage + 1 - SPARE_PAGES) * newest.pageSize;
    if (fileBytes < needed) {
      throw new MillraceError('log_corrupt', { file, found: 'its end is missing', fileBytes });
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Removes a segment's file, and the one in which LMDB keeps its locks. */
export function removeFiles(file: string): void {
  rmSync(`${file}-lock`, { force: true });
  rmSync(file, { force: true });
}

function metaAt(
  descriptor: number,
  position: number,
): { pageSize: number; lastPage: number; transaction: number } | undefined {
  const bytes = Buffer.alloc(META_BYTES);
  if (readSync(descriptor, bytes, 0, META_BYTES, position) < META_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, META_BYTES);
  const little = endianness() === 'LE';
  const isMeta =
    view.getUint32(META, little) === MAGIC && view.getUint32(META + 4, little) === VERSION;
  if (!isMeta) return undefined;
  return {
    pageSize: view.getUint32(PAGE_SIZE_AT, little),
    lastPage: Number(view.getBigUint64(LAST_PAGE_AT, little)),
    transaction: Number(view.getBigUint64(TRANSACTION_AT, little)),
  };
}
