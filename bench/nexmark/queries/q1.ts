import { topology } from '../../../src/index.ts';
import { bidsOf } from '../source.ts';

/** Currency conversion: each bid in euros. */
export const q1 = topology('q1', {}, (sources) => {
  bidsOf(sources)
    .map(({ auction, bidder, price, dateTime, extra }) => ({
      auction,
      bidder,
      // 0.908 as a fraction: the product is exact, and one rounding is left.
      price: (price * 908) / 1000,
      dateTime,
      extra,
    }))
    .to('nexmark-q1');
});
