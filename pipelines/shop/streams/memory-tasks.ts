import type { Change, Processor, ServedWrite, TaskContext } from '../../../src/index.ts';

/** Runs a processor over changes, a task a topic partition, and holds what it serves: for tests. */
export class MemoryTasks {
  readonly values = new Map<string, string>();
  readonly expiries = new Map<string, number>();
  readonly sets = new Map<string, Set<string>>();
  readonly #processor: Processor;
  readonly #states = new Map<string, Map<string, string>>();

  constructor(processor: Processor) {
    this.#processor = processor;
  }

  async process(...changes: readonly Change[]): Promise<void> {
    for (const change of changes) await this.#processor.process(change, this.#context(change));
  }

  state(task: string): Map<string, string> {
    const state = this.#states.get(task) ?? new Map<string, string>();
    this.#states.set(task, state);
    return state;
  }

  keys(prefix: string): string[] {
    return [...this.values.keys()].filter((key) => key.startsWith(prefix)).toSorted();
  }

  #context(change: Change): TaskContext {
    const task = `${change.topic}-${change.partition}`;
    const state = this.state(task);
    // As in a real task, only what was named beforehand, loaded or written can be read.
    const known = new Set(this.#processor.reads?.(change));
    return {
      task,
      state: {
        get(key) {
          if (!known.has(key)) throw new Error(`${key} is read, but was never named`);
          return state.get(key);
        },
        set(key, value) {
          known.add(key);
          state.set(key, value);
        },
        delete(key) {
          known.add(key);
          state.delete(key);
        },
        async load(keys) {
          for (const key of keys) known.add(key);
        },
        async *range(prefix) {
          for (const entry of state) if (entry[0].startsWith(prefix)) yield entry;
        },
      },
      serve: (write) => this.#serve(write),
      forward: () => {},
    };
  }

  #serve(write: ServedWrite): void {
    const { key } = write;
    switch (write.op) {
      case 'put':
        this.values.set(key, write.value);
        if (write.expiresAtMs !== undefined) this.expiries.set(key, write.expiresAtMs);
        return;
      case 'delete':
        this.values.delete(key);
        return;
      case 'add':
        this.values.set(key, plus(this.values.get(key), write.amount));
        return;
      case 'setAdd':
        this.sets.set(key, (this.sets.get(key) ?? new Set()).add(write.member));
        return;
      case 'setRemove':
        this.sets.get(key)?.delete(write.member);
        if (this.sets.get(key)?.size === 0) this.sets.delete(key);
    }
  }
}

/** In hundredths, which is all that the shop's amounts have. */
function plus(sum: string | undefined, amount: string): string {
  const hundredths = Math.round(Number(sum ?? 0) * 100) + Math.round(Number(amount) * 100);
  return String(hundredths / 100);
}
