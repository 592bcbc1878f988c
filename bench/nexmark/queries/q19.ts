import { topology } from '../../../src/index.ts';
import type { Bid } from '../event.ts';
import { bidsOf } from '../source.ts';

const RANKS = 10;

/** Auction top 10: the highest bids of each auction; a rank is written again when another bid takes it. */
export const q19 = topology('q19', {}, (sources) => {
  bidsOf(sources)
    .groupBy(({ auction }) => auction)
    .aggregate<readonly Bid[]>(() => [], ranked)
    .changes()
    .flatMap(({ before = [], after = [] }) =>
      after.flatMap((bid, at) => (bid === before[at] ? [] : [{ ...bid, rank_number: at + 1 }])),
    )
    .to('nexmark-q19', { key: ({ rank_number }, auction) => `${auction} ${rank_number}` });
});

/** Of bids of the same price the earlier one is higher. */
function ranked(bids: readonly Bid[], bid: Bid): readonly Bid[] {
  let rank = bids.length;
  while (rank > 0 && (bids[rank - 1]?.price ?? 0) < bid.price) rank -= 1;
  if (rank >= RANKS) return bids;
  return [...bids.slice(0, rank), bid, ...bids.slice(rank, RANKS - 1)];
}
