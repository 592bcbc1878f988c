import { topology, tumbling } from '../../../src/index.ts';
import type { Bid } from '../event.ts';
import { bidsOf, GRACE_MS } from '../source.ts';

/** Highest bid: the bids of the highest price in each 10 seconds. */
export const q7 = topology('q7', {}, (sources) => {
  bidsOf(sources)
    .groupBy(() => 'all')
    .windowedBy(tumbling({ sizeMs: 10_000, graceMs: GRACE_MS }))
    .aggregate<readonly Bid[]>(() => [], higher)
    .final()
    .flatMap((bids) =>
      bids.map(({ auction, bidder, price, dateTime, extra }) => ({
        auction,
        bidder,
        price,
        dateTime,
        extra,
      })),
    )
    .to('nexmark-q7', { key: () => null });
});

function higher(highest: readonly Bid[], bid: Bid): readonly Bid[] {
  const price = highest[0]?.price ?? 0;
  if (bid.price < price) return highest;
  return bid.price === price ? [...highest, bid] : [bid];
}
