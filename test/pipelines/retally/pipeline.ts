import { tallyOf } from '../tally.ts';

/** The same, but for a step that state made without it does not have. */
export const pipeline = tallyOf((amount) => amount * 100, 'cents');
