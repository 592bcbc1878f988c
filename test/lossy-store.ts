import { MemoryStore } from '../src/adapters/memory/store.ts';
import type { Store } from '../src/ports/store.ts';

/** At the nth call of the store, before it is made, so many of its last writes are gone. */
export type Loss = Readonly<{ call: number; writes: number }>;
export const EVERYTHING = Infinity;

/** A store in memory that forgets its last writes when told, as a server does that was killed. */
export class LossyStore {
  #store = new MemoryStore();
  #writes: ((store: Store) => Promise<void>)[] = [];
  #calls = 0;
  #schedule: readonly Loss[];
  /** Calls and losses take turns. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(schedule: readonly Loss[] = []) {
    this.#schedule = schedule;
  }

  lose(writes: number): void {
    void this.#inTurn(async () => {
      this.#writes.length = Math.max(0, this.#writes.length - writes);
      this.#store = new MemoryStore();
      for (const write of this.#writes) await write(this.#store);
    });
  }

  loseNoMore(): void {
    this.#schedule = [];
  }

  /** As its clients see it, whatever it has lost. */
  asSeen(): Store {
    return new Proxy(this.#store, {
      get: (_, name) => {
        return (...args: unknown[]) => {
          for (const { call, writes } of this.#schedule) {
            if (call === this.#calls) this.lose(writes);
          }
          this.#calls += 1;
          return this.#call(name, args);
        };
      },
    });
  }

  #call(name: string | symbol, args: unknown[]): unknown {
    const call = (store: Store): unknown =>
      (Reflect.get(store, name, store) as (...args: unknown[]) => unknown).apply(store, args);
    if (name === 'range' || name === 'keys') return call(this.#store);
    return this.#inTurn(async () => {
      const result: unknown = await call(this.#store);
      if (name === 'commit' || name === 'forwarded' || name === 'dropTask') {
        this.#writes.push(async (store) => void (await call(store)));
      }
      return result;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
