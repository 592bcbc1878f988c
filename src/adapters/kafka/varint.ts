const INT31 = 2 ** 30;

/** The size of a whole number as a zigzag varint; any within 2 ** 52. */
export function varintSize(value: number): number {
  let left = value < 0 ? -2 * value - 1 : 2 * value;
  let size = 1;
  for (; left >= 0x80; size += 1) left = Math.floor(left / 0x80);
  return size;
}

/** Returns where the next byte goes. */
export function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  if (value >= -INT31 && value < INT31) {
    let left = ((value << 1) ^ (value >> 31)) >>> 0;
    for (; left >= 0x80; left >>>= 7) bytes[at++] = (left & 0x7f) | 0x80;
    bytes[at++] = left;
    return at;
  }
  let left = value < 0 ? -2 * value - 1 : 2 * value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes[at++] = (left % 0x80) | 0x80;
  bytes[at++] = left;
  return at;
}
