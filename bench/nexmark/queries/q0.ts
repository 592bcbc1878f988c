import { topology } from '../../../src/index.ts';
import { bidsOf } from '../source.ts';

/** Pass through: what reading, parsing and writing cost. */
export const q0 = topology('q0', {}, (sources) => {
  bidsOf(sources)
    .map(({ auction, bidder, price, dateTime, extra }) => ({
      auction,
      bidder,
      price,
      dateTime,
      extra,
    }))
    .to('nexmark-q0');
});
