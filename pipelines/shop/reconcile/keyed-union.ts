export type Keyed = Readonly<{ key: string; value: string | undefined }>;

/**
 * Every key of both sequences once, with the first one's value. Both must be in byte order and
 * their keys plain ASCII; neither is held in memory.
 */
export async function* keyedUnion(
  entries: AsyncIterable<Keyed>,
  keys: AsyncIterable<string>,
): AsyncIterable<Keyed> {
  const others = keys[Symbol.asyncIterator]();
  let other = await others.next();
  try {
    for await (const entry of entries) {
      for (; other.done !== true && other.value < entry.key; other = await others.next())
        yield { key: other.value, value: undefined };
      yield entry;
      if (other.done !== true && other.value === entry.key) other = await others.next();
    }
    for (; other.done !== true; other = await others.next())
      yield { key: other.value, value: undefined };
  } finally {
    await others.return?.();
  }
}
