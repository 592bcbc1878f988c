import { topology } from '../../../src/index.ts';
import { bidsOf } from '../source.ts';

/** Find last bid: of each bidder on each auction, again whenever there is a newer one. */
export const q18 = topology('q18', {}, (sources) => {
  bidsOf(sources)
    .groupBy(({ bidder, auction }) => [bidder, auction] as const)
    .reduce((last, bid) => (bid.dateTime >= last.dateTime ? bid : last))
    .to('nexmark-q18');
});
