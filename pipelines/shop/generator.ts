import { setTimeout as sleep } from 'node:timers/promises';
import { faker } from '@faker-js/faker/locale/en';
import type { GeneratorDatabase, GeneratorOptions } from '../../src/index.ts';
import { anomaliesOf } from './generator/anomalies.ts';
import { planCustomers, planPhone } from './generator/customers.ts';
import { Deck } from './generator/deck.ts';
import { type KnownProduct, type NewOrder, planOrders } from './generator/orders.ts';
import { Pacer } from './generator/pacer.ts';
import { planProducts, planStock } from './generator/products.ts';
import { Random } from './generator/random.ts';
import { ShopDatabase } from './generator/shop-database.ts';
import { STATES } from './generator/states.ts';

/** How many of the newest rows take part; the others rest. */
const KNOWN_ROWS = 5000;
const UPDATES_A_BATCH = 5;
const DELETE_CANDIDATES = 20;
const MOST_ORDERS_TOGETHER = 64;

/**
 * Lives a shop's life in batches, until `signal` aborts. On a fresh database a seed gives the same
 * rows again, ids included; their times are the database's.
 */
export async function generate(
  database: GeneratorDatabase,
  options: GeneratorOptions,
  signal: AbortSignal,
): Promise<void> {
  const shop = new ShopLife(database, options, signal);
  try {
    await shop.run();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

class ShopLife {
  readonly #shop: ShopDatabase;
  readonly #options: GeneratorOptions;
  readonly #signal: AbortSignal;
  readonly #random: Random;
  readonly #pacer: Pacer;
  #customers: number[] = [];
  #products: KnownProduct[] = [];
  #openOrders: number[] = [];
  #together = 1;
  #rows = 0;

  constructor(database: GeneratorDatabase, options: GeneratorOptions, signal: AbortSignal) {
    this.#shop = new ShopDatabase(database);
    this.#options = options;
    this.#signal = signal;
    this.#random = new Random(options.seed);
    this.#pacer = new Pacer(options.rate);
  }

  async run(): Promise<void> {
    this.#customers = await this.#shop.customers(KNOWN_ROWS);
    this.#products = await this.#shop.products(KNOWN_ROWS);
    this.#openOrders = await this.#shop.openOrders(KNOWN_ROWS);
    const { batches = Infinity, intervalMs, rate, onBatch } = this.#options;
    let dueMs = performance.now();
    for (let batch = 0; batch < batches && !this.#signal.aborted; batch += 1) {
      if (rate === undefined && batch > 0) {
        dueMs = Math.max(dueMs + intervalMs, performance.now());
        await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: this.#signal });
      }
      this.#rows = 0;
      await this.#batch(batch);
      onBatch(this.#rows);
    }
  }

  async #batch(batch: number): Promise<void> {
    // The library's generator is shared by all of a process, so each batch seeds it anew.
    faker.seed(this.#random.integer(0, 2 ** 31));
    const { recordsPerBatch, intervalMs } = this.#options;
    const quarter = Math.floor(recordsPerBatch / 4);
    const anomalies = anomaliesOf(batch, intervalMs);

    const state = anomalies.oneState ? this.#stateOf(batch) : undefined;
    const someone = this.#customers.length === 0 ? 1 : 0;
    const something = this.#products.length === 0 ? 1 : 0;
    const customers = planCustomers(Math.max(quarter, someone), this.#random, state);
    const products = planProducts(Math.max(quarter, something), this.#random);
    await this.#pass(customers.length);
    this.#customers.push(...(await this.#shop.addCustomers(customers)));
    await this.#pass(products.length);
    this.#products.push(...(await this.#shop.addProducts(products)));

    const orders = planOrders({
      count: recordsPerBatch - 2 * quarter,
      customers: this.#customers,
      products: this.#products,
      anomalies,
      random: this.#random,
    });
    await this.#place(orders);
    await this.#update();
    await this.#progress(orders.length);
    await this.#cancelAndDelete();
    this.#forgetOldest();
  }

  /** One order a transaction; where the asked rate is not held that way, more and more share one. */
  async #place(orders: readonly NewOrder[]): Promise<void> {
    for (let at = 0; at < orders.length;) {
      this.#together = this.#pacer.isBehind
        ? Math.min(2 * this.#together, MOST_ORDERS_TOGETHER)
        : Math.max(1, this.#together / 2);
      const together = orders.slice(at, at + this.#together);
      await this.#pass(together.reduce((rows, { items }) => rows + items.length + 2, 0));
      this.#openOrders.push(...(await this.#shop.placeOrders(together)));
      at += together.length;
    }
  }

  /** The same for the batches of one spell, whichever the seed. */
  #stateOf(batch: number): string {
    const spell = Math.floor(batch / 100) + this.#options.seed;
    const [code] = STATES[Math.abs(spell) % STATES.length] ?? ['TX'];
    return code;
  }

  async #update(): Promise<void> {
    for (let left = UPDATES_A_BATCH; left > 0; left -= 1) {
      await this.#pass(1);
      if (this.#random.chance(0.5))
        await this.#shop.setPhone(this.#random.pick(this.#customers), planPhone());
      else await this.#shop.setStock(this.#random.pick(this.#products).id, planStock(this.#random));
    }
  }

  /** A fifth of the open orders go a step on, so that about as many are closed as placed. */
  async #progress(placed: number): Promise<void> {
    const many = Math.min(Math.ceil(this.#openOrders.length / 5), 4 * placed);
    if (many === 0) return;
    const deck = new Deck(this.#openOrders, this.#random);
    const chosen = Array.from({ length: many }, () => deck.deal());
    await this.#pass(many);
    const closed = new Set(await this.#shop.progressOrders(chosen));
    this.#openOrders = this.#openOrders.filter((order) => !closed.has(order));
  }

  async #cancelAndDelete(): Promise<void> {
    if (this.#random.chance(0.3) && this.#openOrders.length > 0) {
      const order = this.#random.pick(this.#openOrders);
      await this.#pass(1);
      if (await this.#shop.cancelOrder(order))
        this.#openOrders = this.#openOrders.filter((open) => open !== order);
    }
    // Some must stay, to order and to be updated.
    if (this.#random.chance(0.2) && this.#customers.length > DELETE_CANDIDATES) {
      const deck = new Deck(this.#customers, this.#random);
      const candidates = Array.from({ length: DELETE_CANDIDATES }, () => deck.deal());
      await this.#pass(1);
      const gone = await this.#shop.deleteCustomerWithoutOrders(candidates);
      this.#customers = this.#customers.filter((customer) => customer !== gone);
    }
  }

  #forgetOldest(): void {
    this.#customers = this.#customers.slice(-KNOWN_ROWS);
    this.#products = this.#products.slice(-KNOWN_ROWS);
    this.#openOrders = this.#openOrders.slice(-KNOWN_ROWS);
  }

  async #pass(rows: number): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#pacer.pass(rows, this.#signal);
    this.#rows += rows;
  }
}
