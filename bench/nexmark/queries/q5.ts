import { hopping, topology, tumbling } from '../../../src/index.ts';
import { bidsOf, GRACE_MS } from '../source.ts';

const ADVANCE_MS = 2000;

type Hottest = Readonly<{ auctions: readonly number[]; num: number }>;

/** Hot items: the auctions with the most bids in the last 10 seconds, every 2 seconds. */
export const q5 = topology('q5', {}, (sources) => {
  bidsOf(sources)
    .groupBy(({ auction }) => auction)
    .windowedBy(hopping({ sizeMs: 10_000, advanceMs: ADVANCE_MS, graceMs: GRACE_MS }))
    .count()
    .final()
    .map((num, { key: auction }) => ({ auction, num }))
    // One window ends in each of these, and what it counted has the time of its end.
    .groupBy(() => 'all')
    .windowedBy(tumbling({ sizeMs: ADVANCE_MS }))
    .aggregate<Hottest>(() => ({ auctions: [], num: 0 }), hotter)
    .final()
    .flatMap(({ auctions, num }) => auctions.map((auction) => ({ auction, num })))
    .to('nexmark-q5', { key: () => null });
});

function hotter(hottest: Hottest, { auction, num }: Readonly<{ auction: number; num: number }>) {
  if (num < hottest.num) return hottest;
  const rivals = num === hottest.num ? hottest.auctions : [];
  return { auctions: [...rivals, auction], num };
}
