import { addDecimals, isDecimal } from '../../domain/decimal.ts';
import type { ServedWrite } from '../../ports/store.ts';

/** A write, and where in the commit it stands, or the first of those that it stands for. */
export type PlacedWrite = Readonly<{ write: ServedWrite; place: number }>;

/**
 * The same writes with the adds to a key as one, where no other write of the key is between: a
 * batch counts some keys hundreds of times, and a sum costs Lua more than it costs here.
 */
export function foldAdds(served: readonly ServedWrite[]): readonly PlacedWrite[] {
  const folded: PlacedWrite[] = [];
  /** By key, where its last write is, if that is an add of a decimal. */
  const adds = new Map<string, number>();
  for (const [place, write] of served.entries()) {
    const { key } = write;
    const at = adds.get(key);
    const before = at === undefined ? undefined : folded[at];
    const isAdd = write.op === 'add' && isDecimal(write.amount);
    if (isAdd && at !== undefined && before?.write.op === 'add') {
      const amount = addDecimals(before.write.amount, write.amount);
      folded[at] = { write: { op: 'add', key, amount }, place: before.place };
      continue;
    }
    if (isAdd) adds.set(key, folded.length);
    else adds.delete(key);
    folded.push({ write, place });
  }
  return folded;
}
