import type { Random } from './random.ts';

/** Deals each item once, in random order, then all again: nothing comes far more often by chance. */
export class Deck<T> {
  readonly #cards: T[];
  readonly #random: Random;
  #dealt = 0;

  constructor(items: readonly T[], random: Random) {
    if (items.length === 0) throw new RangeError('a deck needs an item');
    this.#cards = [...items];
    this.#random = random;
  }

  deal(): T {
    if (this.#dealt === this.#cards.length) this.#dealt = 0;
    const chosen = this.#random.integer(this.#dealt, this.#cards.length - 1);
    const card = this.#cards[chosen] as T;
    this.#cards[chosen] = this.#cards[this.#dealt] as T;
    this.#cards[this.#dealt] = card;
    this.#dealt += 1;
    return card;
  }
}
