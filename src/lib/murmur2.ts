const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/**
 * MurmurHash2, 32 bits, as Kafka's default partitioner computes it (Utils.murmur2, signed).
 * Keys go to the same partition here and in Kafka only while this stays bit for bit the same.
 */
export function murmur2(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = end - start;
  let hash = SEED ^ length;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    let k = word(bytes, at);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    k = Math.imul(k, M);
    hash = Math.imul(hash, M) ^ k;
  }
  const rest = end - at;
  if (rest > 2) hash ^= byte(bytes, at + 2) << 16;
  if (rest > 1) hash ^= byte(bytes, at + 1) << 8;
  if (rest > 0) hash = Math.imul(hash ^ byte(bytes, at), M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

function word(bytes: Uint8Array, at: number): number {
  return (
    byte(bytes, at) |
    (byte(bytes, at + 1) << 8) |
    (byte(bytes, at + 2) << 16) |
    (byte(bytes, at + 3) << 24)
  );
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
