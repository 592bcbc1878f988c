import type { ShopMillrace } from './shop-millrace.ts';

/** Differs between two connectors, which copy and work at times of their own. */
const COPIED_CHANGE = /^cdc:change:\w+:\d+:r:/;
/** They are of rows that were created, which for a Millrace that came later are copied ones; and partitions meet in any order. */
const REAL_TIME = /^(realtime|alerts):/;

/**
 * The served keys and their values. Left out is what two Millraces on one source may differ in:
 * expiry times, when a change was processed, the changes that are copied rows, and what follows from
 * which those are.
 */
export async function servedIn(
  millrace: Pick<ShopMillrace, 'ask'>,
): Promise<ReadonlyMap<string, string>> {
  const entries = await millrace.ask('store.scan', { pattern: '' });
  return new Map(
    entries
      .filter(({ key }) => !COPIED_CHANGE.test(key) && !REAL_TIME.test(key))
      .map((entry) => {
        if (entry.type === 'set') return [entry.key, `{${entry.members.join()}}`] as const;
        if (entry.type === 'absent') throw new Error(`${entry.key} was listed, but is absent`);
        return [entry.key, withoutProcessedAt(entry.key, entry.value)] as const;
      }),
  );
}

function withoutProcessedAt(key: string, value: string): string {
  if (!key.startsWith('cdc:change:')) return value;
  return value.replace(/,"processed_at":"[^"]*"\}$/, '}');
}
