import type { ServedValue, ServedWrite, Store } from '../../ports/store.ts';
import { SHADOW, shadowPrefix } from './generation-store.ts';

/** Bounds of one commit, so that readers and other tasks are not kept waiting. */
const PAGE_KEYS = 200;
const PAGE_BYTES = 1_048_576;
/** What has expired is dealt with like anything else, until it is swept. */
const ANY_TIME = 0;

/** Commits writes of served keys; rejects with `commit_conflict` when another process does the same. */
export type ServedCommit = (served: readonly ServedWrite[]) => Promise<void>;

/**
 * Removes the keys under `prefixes` that the generation does not serve. May be cut short anywhere,
 * and done again.
 */
export async function removeUnserved(
  store: Store,
  generation: Readonly<{ processor: string; generation: number; prefixes: Iterable<string> }>,
  commit: ServedCommit,
): Promise<void> {
  const shadow = shadowPrefix(generation.processor, generation.generation);
  for (const prefix of generation.prefixes) {
    // The empty prefix is that of every processor's keys.
    if (prefix === '') continue;
    let after: string | undefined;
    for (let isLast = false; !isLast;) {
      const page = { limit: PAGE_KEYS, ...(after !== undefined && { after }) };
      const keys = await Array.fromAsync(store.keys(prefix, ANY_TIME, page));
      isLast = keys.length < PAGE_KEYS;
      after = keys.at(-1);
      const found = await Promise.all(
        keys.map(async (key) => {
          if (key.startsWith(SHADOW)) return true;
          return (await store.get(shadow + key, ANY_TIME)) !== undefined;
        }),
      );
      const gone = keys.filter((_, at) => found[at] !== true);
      if (gone.length > 0) await commit(gone.map((key) => ({ op: 'delete', key })));
    }
  }
}

/**
 * Gives what the generation serves its own names, each key at once: whoever reads one sees the old
 * value or the new. May be cut short anywhere, and done again.
 */
export async function moveServed(
  store: Store,
  { processor, generation }: Readonly<{ processor: string; generation: number }>,
  commit: ServedCommit,
): Promise<void> {
  const shadow = shadowPrefix(processor, generation);
  for (;;) {
    const page = store.keys(shadow, ANY_TIME, { limit: PAGE_KEYS });
    const writes: ServedWrite[] = [];
    let bytes = 0;
    for (const key of await Array.fromAsync(page)) {
      if (bytes > PAGE_BYTES) break;
      const value = await store.get(key, ANY_TIME);
      const name = key.slice(shadow.length);
      writes.push({ op: 'delete', key: name }, ...writesOf(name, value), { op: 'delete', key });
      bytes += sizeOf(value);
    }
    if (writes.length === 0) return;
    await commit(writes);
  }
}

/** Removes what generations have left that were never served. */
export async function removeShadows(
  store: Store,
  processor: string,
  commit: ServedCommit,
): Promise<void> {
  for (;;) {
    const page = store.keys(shadowPrefix(processor), ANY_TIME, { limit: PAGE_KEYS });
    const keys = await Array.fromAsync(page);
    if (keys.length === 0) return;
    await commit(keys.map((key) => ({ op: 'delete', key })));
  }
}

function writesOf(key: string, value: ServedValue | undefined): readonly ServedWrite[] {
  if (value === undefined) return [];
  if (value.type === 'set') return value.members.map((member) => ({ op: 'setAdd', key, member }));
  const { value: text, expiresAtMs } = value;
  return [{ op: 'put', key, value: text, ...(expiresAtMs !== undefined && { expiresAtMs }) }];
}

function sizeOf(value: ServedValue | undefined): number {
  if (value === undefined) return 0;
  if (value.type === 'string') return value.value.length;
  return value.members.reduce((sum, member) => sum + member.length, 0);
}
