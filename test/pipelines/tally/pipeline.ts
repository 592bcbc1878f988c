import { tallyOf } from '../tally.ts';

export const pipeline = tallyOf((amount) => amount);
