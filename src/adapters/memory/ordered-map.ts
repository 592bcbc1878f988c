import { compareUtf8 } from '../../lib/utf8-order.ts';

/** A map from text, read in the order of its keys' UTF-8 bytes. Sorts when first read after a new key. */
export class OrderedMap<V> {
  readonly #values = new Map<string, V>();
  #sorted: string[] | undefined = [];

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: V): void {
    if (!this.#values.has(key)) this.#sorted = undefined;
    this.#values.set(key, value);
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#sorted = undefined;
  }

  /** Entries whose key starts with `prefix`, those after `after` only, as they are now. */
  entries(prefix: string, after?: string): (readonly [key: string, value: V])[] {
    this.#sorted ??= [...this.#values.keys()].sort(compareUtf8);
    return this.#sorted
      .filter((key) => key.startsWith(prefix))
      .filter((key) => after === undefined || compareUtf8(key, after) > 0)
      .map((key) => [key, this.#values.get(key) as V]);
  }
}
