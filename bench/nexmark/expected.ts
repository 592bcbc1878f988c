import {
  type Auction,
  type Bid,
  isAuction,
  isBid,
  isPerson,
  type NexmarkEvent,
  timeOf,
} from './event.ts';
import { GRACE_MS } from './source.ts';

/*
 * What each query is to come to, computed from all events at once, in the plainest way there is:
 * the test holds the engine to it. Windows that the events do not close are left out.
 */

type Expected = (events: readonly NexmarkEvent[]) => readonly unknown[];

/** What stands in the query's topic, in no order; of those with `byKey`, the last record of each key. */
export const EXPECTED: Readonly<Record<string, Readonly<{ values: Expected; byKey?: true }>>> = {
  q0: { values: (events) => bidsIn(events).map(short) },
  q1: {
    values: (events) =>
      bidsIn(events).map((bid) => ({
        ...short(bid),
        price: Number((bid.price * 0.908).toFixed(3)),
      })),
  },
  q2: {
    values: (events) =>
      bidsIn(events)
        .filter(({ auction }) => auction % 123 === 0)
        .map(({ auction, price }) => ({ auction, price })),
  },
  q3: { values: localItems },
  q5: { values: (events) => closed(events, 10_000, 2000).flatMap(hottest) },
  q7: { values: (events) => closed(events, 10_000, 10_000).flatMap(highest) },
  q8: { values: (events) => closed(events, 10_000, 10_000).flatMap(newSellers) },
  q11: { values: sessions },
  q18: { values: (events) => lastBids(bidsIn(events)), byKey: true },
  q19: { values: (events) => topTen(bidsIn(events)), byKey: true },
};

type Window = Readonly<{ startMs: number; events: readonly NexmarkEvent[] }>;

function bidsIn(events: readonly NexmarkEvent[]): readonly Bid[] {
  return events.filter(isBid).map(({ bid }) => bid);
}

function auctionsIn(events: readonly NexmarkEvent[]): readonly Auction[] {
  return events.filter(isAuction).map(({ auction }) => auction);
}

function short({ auction, bidder, price, dateTime, extra }: Bid) {
  return { auction, bidder, price, dateTime, extra };
}

function latestMs(events: readonly NexmarkEvent[]): number {
  return events.reduce((latest, event) => Math.max(latest, timeOf(event)), -Infinity);
}

/** Windows that hold an event and have come to their end, with their events. */
function closed(events: readonly NexmarkEvent[], sizeMs: number, advanceMs: number): Window[] {
  const first = Math.min(...events.map(timeOf));
  const windows: Window[] = [];
  let startMs = Math.ceil((first - sizeMs + 1) / advanceMs) * advanceMs;
  for (; startMs + sizeMs + GRACE_MS <= latestMs(events); startMs += advanceMs) {
    const from = startMs;
    const within = events.filter((event) => timeOf(event) >= from && timeOf(event) < from + sizeMs);
    windows.push({ startMs, events: within });
  }
  return windows;
}

function localItems(events: readonly NexmarkEvent[]): unknown[] {
  const persons = events.filter(isPerson).map(({ person }) => person);
  return auctionsIn(events)
    .filter(({ category }) => category === 10)
    .flatMap(({ id, seller }) =>
      persons
        .filter((person) => person.id === seller && ['OR', 'ID', 'CA'].includes(person.state))
        .map(({ name, city, state }) => ({ name, city, state, id })),
    );
}

function hottest({ events }: Window): unknown[] {
  const groups = Map.groupBy(bidsIn(events), ({ auction }) => auction);
  const counts = [...groups].map(([auction, bids]) => ({ auction, num: bids.length }));
  const most = Math.max(...counts.map(({ num }) => num));
  return counts.filter(({ num }) => num === most);
}

function highest({ events }: Window): unknown[] {
  const bids = bidsIn(events);
  const price = Math.max(...bids.map((bid) => bid.price));
  return bids.filter((bid) => bid.price === price).map(short);
}

function newSellers({ startMs, events }: Window): unknown[] {
  const sellers = new Set(auctionsIn(events).map(({ seller }) => seller));
  return events
    .filter(isPerson)
    .filter(({ person }) => sellers.has(person.id))
    .map(({ person: { id, name } }) => ({ id, name, stime: startMs }));
}

const SESSION_GAP_MS = 10_000;

function sessions(events: readonly NexmarkEvent[]): unknown[] {
  const latest = latestMs(events);
  const groups = Map.groupBy(bidsIn(events), ({ bidder }) => bidder);
  return [...groups].flatMap(([bidder, bids]) => {
    const times = bids.map(({ dateTime }) => dateTime).toSorted((a, b) => a - b);
    const starts = times.filter((at, nth) => at - (times[nth - 1] ?? -Infinity) >= SESSION_GAP_MS);
    return starts
      .map((starttime, nth) => {
        const own = times.filter((at) => at >= starttime && at < (starts[nth + 1] ?? Infinity));
        const endtime = (own.at(-1) ?? starttime) + SESSION_GAP_MS;
        return { bidder, bid_count: own.length, starttime, endtime };
      })
      .filter(({ endtime }) => endtime + GRACE_MS <= latest);
  });
}

function lastBids(bids: readonly Bid[]): unknown[] {
  const groups = Map.groupBy(bids, ({ bidder, auction }) => `${bidder} ${auction}`);
  return [...groups.values()].map((group) => group.at(-1));
}

function topTen(bids: readonly Bid[]): unknown[] {
  const groups = Map.groupBy(bids, ({ auction }) => auction);
  return [...groups.values()].flatMap((group) =>
    group
      .toSorted((a, b) => b.price - a.price) // stable: the earlier first
      .slice(0, 10)
      .map((bid, at) => ({ ...bid, rank_number: at + 1 })),
  );
}
