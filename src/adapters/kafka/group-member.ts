import { setTimeout as sleep } from 'node:timers/promises';
import { ResponseError } from '@platformatic/kafka';
import type { Assignment } from '../../ports/event-log.ts';
import type { HostAndPort } from './address.ts';
import type { Cluster } from './cluster.ts';
import { hasAnswer, isPassing, logError } from './errors.ts';
import { assign, without } from './group-assignment.ts';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './group-protocol.ts';
import type { Lane } from './lane.ts';
import { findCoordinator, heartbeat, joinGroup, leaveGroup, syncGroup } from './protocol.ts';
import { retried } from './retry.ts';
import { unlessAborted, within } from './within.ts';

/** A member that was not heard for so long has left. */
const SESSION_MS = 10_000;
/** How long the others are waited for when members change. */
const REBALANCE_MS = 10_000;
/** Members learn by it that another came or left, twice where partitions move. */
const HEARTBEAT_MS = 1000;
const LEAVE_MS = 1000;

const GROUP = 0;
const PROTOCOL_TYPE = 'consumer';
const PROTOCOL = 'millrace';
const NO_GENERATION = -1;

type Membership = { memberId: string; generation: number };

/**
 * A member of a consumer group, which is there for the assignment alone: no offset is ever stored
 * in it. What a member keeps over a change, it goes on reading meanwhile.
 *
 * https://cwiki.apache.org/confluence/display/KAFKA/KIP-429 describes the rounds.
 */
export class GroupMember {
  readonly #cluster: Cluster;
  readonly #group: string;
  readonly #topics: readonly string[];
  /** A change is waited for within a request. */
  readonly #lane: Lane;
  #coordinator: HostAndPort | undefined;
  #membership: Membership = { memberId: '', generation: NO_GENERATION };

  constructor(cluster: Cluster, group: string, topics: readonly string[]) {
    this.#cluster = cluster;
    this.#group = group;
    this.#topics = topics;
    this.#lane = cluster.lane(REBALANCE_MS * 2);
  }

  /** Yields what this member is to read, and again at each change, until `signal` aborts; then leaves. */
  async *assignments(signal: AbortSignal): AsyncGenerator<Assignment, void, undefined> {
    if (signal.aborted) return this.#cluster.close(this.#lane);
    let left: Promise<void> | undefined;
    const leave = (): void => void (left ??= this.#leave());
    signal.addEventListener('abort', leave, { once: true });
    let owned: Assignment | undefined;
    try {
      while (!signal.aborted) {
        const assigned = await this.#rejoin(owned ?? [], signal);
        const lost = new AbortController();
        const either = AbortSignal.any([signal, lost.signal]);
        const beating = assigned === undefined ? undefined : this.#beat(either);
        // It is awaited below, unless the caller has had enough.
        beating?.catch(() => undefined);
        try {
          const before: Assignment = owned ?? [];
          const isNews = owned === undefined || !isSame(before, assigned ?? []);
          owned = assigned ?? [];
          if (isNews && !signal.aborted) yield owned;
          const mustGoOn = beating === undefined || without(before, owned).length > 0;
          if (!mustGoOn && (await unlessAborted(signal, beating)) === 'lost') {
            this.#forgetMembership();
            owned = [];
            yield owned;
          }
        } finally {
          lost.abort();
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
      await left;
    }
  }

  /** Undefined when the group does not know this member any more: what it owned may be another's. */
  async #rejoin(owned: Assignment, signal: AbortSignal): Promise<Assignment | undefined> {
    return retried(
      async () => {
        try {
          return await this.#joinAndSync(owned);
        } catch (error) {
          if (!hasAnswer(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION')) {
            this.#coordinator = undefined;
            throw error;
          }
          this.#forgetMembership();
          return owned.length === 0 ? this.#joinAndSync(owned) : undefined;
        }
      },
      { facts: { group: this.#group }, signal },
    );
  }

  async #joinAndSync(owned: Assignment): Promise<Assignment> {
    for (;;) {
      const coordinator = await this.#coordinatorNow();
      const joined = await this.#join(coordinator, owned);
      this.#membership = { memberId: joined.memberId, generation: joined.generationId };
      const assignments = joined.leader === joined.memberId ? await this.#assign(joined) : [];
      try {
        const { assignment } = await this.#lane.call(
          coordinator,
          syncGroup,
          this.#group,
          joined.generationId,
          joined.memberId,
          null,
          PROTOCOL_TYPE,
          PROTOCOL,
          assignments,
        );
        return decodeAssignment(assignment);
      } catch (error) {
        if (!hasAnswer(error, 'REBALANCE_IN_PROGRESS')) throw error;
      }
    }
  }

  async #join(coordinator: HostAndPort, owned: Assignment): Promise<Joined> {
    const metadata = encodeSubscription({ topics: this.#topics, owned });
    const ask = () =>
      this.#lane.call(
        coordinator,
        joinGroup,
        this.#group,
        SESSION_MS,
        REBALANCE_MS,
        this.#membership.memberId,
        null,
        PROTOCOL_TYPE,
        [{ name: PROTOCOL, metadata }],
        '',
      );
    try {
      return await ask();
    } catch (error) {
      // A new member is given its name first, so that one that gave up does not stay in the group.
      if (!(error instanceof ResponseError) || !hasAnswer(error, 'MEMBER_ID_REQUIRED')) throw error;
      this.#membership = { ...this.#membership, memberId: (error.response as Joined).memberId };
      return ask();
    }
  }

  async #assign({ members }: Joined): Promise<{ memberId: string; assignment: Buffer }[]> {
    const subscriptions = new Map(
      members.map(({ memberId, metadata }) => [
        memberId,
        decodeSubscription(metadata ?? Buffer.alloc(0)),
      ]),
    );
    const topics = new Set([...subscriptions.values()].flatMap((each) => each.topics));
    const counts = new Map<string, number>();
    // A member that names one has seen it, perhaps before the broker that is asked here.
    this.#cluster.expect(...topics);
    for (const topic of topics) counts.set(topic, await this.#cluster.partitionsOf(topic));
    return [...assign(subscriptions, counts)].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment(partitions),
    }));
  }

  /** Resolves when members change, or when the group may have given up this one. */
  async #beat(signal: AbortSignal): Promise<'changing' | 'lost'> {
    const { memberId, generation } = this.#membership;
    let heardAt = performance.now();
    for (;;) {
      await sleep(HEARTBEAT_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return 'changing';
      try {
        const coordinator = await this.#coordinatorNow();
        await this.#cluster.call(coordinator, heartbeat, this.#group, generation, memberId, null);
        heardAt = performance.now();
      } catch (error) {
        if (hasAnswer(error, 'REBALANCE_IN_PROGRESS')) return 'changing';
        if (hasAnswer(error, 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION')) return 'lost';
        if (!isPassing(error)) throw logError(error, { group: this.#group });
        this.#coordinator = undefined;
        if (performance.now() - heardAt > SESSION_MS) return 'lost';
      }
    }
  }

  /** Never rejects, and is not waited for long: a member that cannot say so is missed after its session. */
  async #leave(): Promise<void> {
    const { memberId } = this.#membership;
    if (memberId !== '' && this.#coordinator !== undefined) {
      const members = [{ memberId, groupInstanceId: null }];
      const left = this.#cluster.call(this.#coordinator, leaveGroup, this.#group, members);
      await within(LEAVE_MS, left).catch(() => undefined);
    }
    await this.#cluster.close(this.#lane);
  }

  #forgetMembership(): void {
    this.#membership = { memberId: '', generation: NO_GENERATION };
  }

  async #coordinatorNow(): Promise<HostAndPort> {
    if (this.#coordinator !== undefined) return this.#coordinator;
    const { coordinators } = await this.#cluster.call(this.#cluster.any(), findCoordinator, GROUP, [
      this.#group,
    ]);
    const [found] = coordinators;
    if (found === undefined) throw new Error('bug: a coordinator was asked for, and none told');
    this.#coordinator = { host: found.host, port: found.port };
    return this.#coordinator;
  }
}

type Joined = Awaited<ReturnType<typeof joinGroup.async>>;

function isSame(left: Assignment, right: Assignment): boolean {
  return left.length === right.length && without(left, right).length === 0;
}
