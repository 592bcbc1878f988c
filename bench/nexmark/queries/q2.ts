import { topology } from '../../../src/index.ts';
import { bidsOf } from '../source.ts';

/** Selection: the bids on every 123rd auction. */
export const q2 = topology('q2', {}, (sources) => {
  bidsOf(sources)
    .filter(({ auction }) => auction % 123 === 0)
    .map(({ auction, price }) => ({ auction, price }))
    .to('nexmark-q2');
});
