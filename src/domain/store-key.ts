import { MillraceError } from './errors.ts';

/** The longest key, or set member, that every store takes, in bytes of UTF-8. */
export const MAX_STORE_KEY_BYTES = 1900;

/**
 * Throws `store_key_too_long`, with the key's start. Stores check each key; who checks earlier can
 * still refuse the one record that asks for it.
 */
export function checkStoreKey(key: string): void {
  // A code unit is at most 3 bytes, so most keys need no count.
  if (key.length * 3 <= MAX_STORE_KEY_BYTES) return;
  const bytes = Buffer.byteLength(key);
  if (bytes <= MAX_STORE_KEY_BYTES) return;
  throw new MillraceError('store_key_too_long', {
    key: `${key.slice(0, 100)}…`,
    bytes,
    most: MAX_STORE_KEY_BYTES,
  });
}
