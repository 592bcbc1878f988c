import { session, topology } from '../../../src/index.ts';
import { bidsOf, GRACE_MS } from '../source.ts';

/** User sessions: how often each bidder bid until 10 seconds passed without a bid. */
export const q11 = topology('q11', {}, (sources) => {
  bidsOf(sources)
    .groupBy(({ bidder }) => bidder)
    .windowedBy(session({ gapMs: 10_000, graceMs: GRACE_MS }))
    .count()
    .final()
    .map((bid_count, { key: bidder, startMs: starttime, endMs: endtime }) => ({
      bidder,
      bid_count,
      starttime,
      endtime,
    }))
    .to('nexmark-q11', { key: () => null });
});
