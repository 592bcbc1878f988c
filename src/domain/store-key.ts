import { MillraceError } from './errors.ts';

/** The longest key, or set member, that every store takes, in bytes of UTF-8. */
export const MAX_STORE_KEY_BYTES = 1900;

export function isStoreKey(key: string): boolean {
  // A code unit is at most 3 bytes, so most keys need no count.
  return key.length * 3 <= MAX_STORE_KEY_BYTES || Buffer.byteLength(key) <= MAX_STORE_KEY_BYTES;
}

/** Throws `store_key_too_long`, with the key's start. */
export function checkStoreKey(key: string): void {
  if (isStoreKey(key)) return;
  throw new MillraceError('store_key_too_long', {
    key: `${key.slice(0, 100)}…`,
    bytes: Buffer.byteLength(key),
    most: MAX_STORE_KEY_BYTES,
  });
}
