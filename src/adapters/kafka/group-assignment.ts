import type { TopicPartition } from '../../ports/event-log.ts';
import type { Subscription } from './group-protocol.ts';

/**
 * Splits partitions among members: of those that ask for a topic, partition n goes to the one at n
 * modulo their count, so equal partitions of different topics meet at one member.
 *
 * A partition that another member still reads goes to nobody yet: that one sees that it has lost
 * it, lets go, and asks for the next assignment. So none is read by two, and none that stays is
 * interrupted.
 */
export function assign(
  members: ReadonlyMap<string, Subscription>,
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly TopicPartition[]> {
  const owners = new Map(
    [...members].flatMap(([member, { owned }]) => owned.map((each) => [nameOf(each), member])),
  );
  const assigned = new Map([...members.keys()].map((member) => [member, [] as TopicPartition[]]));
  for (const [topic, count] of partitionCounts) {
    const candidates = [...members]
      .filter(([, { topics }]) => topics.includes(topic))
      .map(([member]) => member)
      .toSorted();
    for (let partition = 0; partition < count; partition += 1) {
      const member = candidates[partition % candidates.length];
      const owner = owners.get(nameOf({ topic, partition }));
      if (member === undefined || (owner !== undefined && owner !== member)) continue;
      assigned.get(member)?.push({ topic, partition });
    }
  }
  return assigned;
}

/** Those of `before` that are not among `after`. */
export function without(
  before: readonly TopicPartition[],
  after: readonly TopicPartition[],
): readonly TopicPartition[] {
  const kept = new Set(after.map(nameOf));
  return before.filter((each) => !kept.has(nameOf(each)));
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
