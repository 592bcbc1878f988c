type Partition = Readonly<{ topic: string; partition: number }>;
type Member = {
  partitions: readonly Partition[];
  assigned: readonly Partition[];
  tell: () => void;
};

/**
 * Splits partitions among the members of groups within one process.
 *
 * Of the members that ask for a topic, partition n goes to the one at n modulo their count, in
 * order of joining: so equal partitions of different topics meet at one member.
 */
export class GroupMembers {
  readonly #groups = new Map<string, Set<Member>>();

  /** Yields this member's share now and at each change; leaves when `signal` aborts. */
  async *join(
    group: string,
    partitions: readonly Partition[],
    signal: AbortSignal,
  ): AsyncGenerator<readonly Partition[], void, undefined> {
    if (signal.aborted) return;
    const members = this.#groups.get(group) ?? new Set();
    this.#groups.set(group, members);
    const member: Member = { partitions, assigned: [], tell: () => {} };
    const leave = (): void => {
      members.delete(member);
      if (members.size === 0 && this.#groups.get(group) === members) this.#groups.delete(group);
      reassign(members);
      member.tell();
    };
    members.add(member);
    reassign(members);
    signal.addEventListener('abort', leave, { once: true });
    try {
      while (!signal.aborted) {
        const told = Promise.withResolvers<void>();
        member.tell = told.resolve;
        const assigned = member.assigned;
        yield assigned;
        if (member.assigned === assigned && !signal.aborted) await told.promise;
      }
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
  }
}

function reassign(members: ReadonlySet<Member>): void {
  const asking = Map.groupBy(
    [...members].flatMap((member) =>
      [...new Set(member.partitions.map(({ topic }) => topic))].map((topic) => ({ topic, member })),
    ),
    ({ topic }) => topic,
  );
  for (const member of members) {
    const share = member.partitions.filter(({ topic, partition }) => {
      const candidates = asking.get(topic) ?? [];
      return candidates[partition % candidates.length]?.member === member;
    });
    if (sameAs(share, member.assigned) && share.length > 0) continue;
    member.assigned = share;
    member.tell();
  }
}

function sameAs(left: readonly Partition[], right: readonly Partition[]): boolean {
  return (
    left.length === right.length &&
    left.every(
      ({ topic, partition }, index) =>
        topic === right[index]?.topic && partition === right[index].partition,
    )
  );
}
