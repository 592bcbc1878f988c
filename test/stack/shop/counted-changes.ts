import { TOPICS } from '../../../pipelines/shop/row-tables.ts';
import type { EventLog } from '../../../src/ports/event-log.ts';
import { recordsOf } from '../../capture.ts';

/** The change counters as they must be, by their keys: counted in the log itself. */
export async function changesIn(log: EventLog): Promise<ReadonlyMap<string, string>> {
  const counts = new Map<string, number>();
  const count = (key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const { name, partitions } of await log.topics()) {
    if (!TOPICS.includes(name)) continue;
    for (let partition = 0; partition < partitions; partition += 1) {
      for (const { value } of await recordsOf(log, name, partition)) {
        if (value === null) continue;
        const { op } = JSON.parse(Buffer.from(value).toString()) as { op: string };
        count(`cdc:stats:${name.split('.').at(-1)}:${op}`);
        count('cdc:stats:total');
      }
    }
  }
  return new Map([...counts].map(([key, many]) => [key, String(many)]));
}
