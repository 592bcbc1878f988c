import { addDecimals, isDecimal } from '../../domain/decimal.ts';
import { MillraceError } from '../../domain/errors.ts';
import { checkStoreKey } from '../../domain/store-key.ts';
import { must } from '../../lib/must.ts';
import type {
  Commit,
  Outgoing,
  ServedValue,
  ServedWrite,
  Store,
  TaskOffsets,
} from '../../ports/store.ts';
import { OrderedMap } from './ordered-map.ts';

type Task = {
  /** Undefined while the task has not committed, or was dropped. */
  offsets: TaskOffsets | undefined;
  readonly state: OrderedMap<string>;
  outgoing: Outgoing[];
  lastSequence: number;
};

type Served = { value: string; expiresAtMs?: number } | Set<string>;

/** A store of this process, gone with it: for tests, and the plain reference of the other adapters. */
export class MemoryStore implements Store {
  readonly #tasks = new OrderedMap<Task>();
  readonly #served = new OrderedMap<Served>();

  async commit(commit: Commit): Promise<void> {
    const task = this.#task(commit.task);
    if (!sameOffsets(task.offsets ?? {}, commit.from)) {
      throw new MillraceError('commit_conflict', {
        task: commit.task,
        expected: commit.from,
        found: task.offsets ?? {},
      });
    }
    for (const [key] of commit.state) checkStoreKey(key);
    this.#serve(commit.served);

    for (const [key, value] of commit.state) {
      if (value === undefined) task.state.delete(key);
      else task.state.set(key, value);
    }
    for (const chunk of commit.outgoing) {
      task.outgoing.push({ sequence: ++task.lastSequence, chunk });
    }
    task.offsets = { ...commit.to };
  }

  async offsets(task: string): Promise<TaskOffsets> {
    return { ...this.#tasks.get(task)?.offsets };
  }

  async tasks(): Promise<readonly string[]> {
    return [...this.#tasks.entries('')].filter(([, { offsets }]) => offsets).map(([name]) => name);
  }

  async getMany(task: string, keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const state = this.#tasks.get(task)?.state;
    return keys.map((key) => state?.get(key));
  }

  async *range(
    task: string,
    prefix: string,
    { limit = Infinity, reverse = false }: { limit?: number; reverse?: boolean } = {},
  ): AsyncIterable<readonly [key: string, value: string]> {
    const entries = this.#tasks.get(task)?.state.entries(prefix) ?? [];
    yield* (reverse ? entries.toReversed() : entries).slice(0, limit);
  }

  async outgoing(task: string, maxBytes: number): Promise<readonly Outgoing[]> {
    const all = this.#tasks.get(task)?.outgoing ?? [];
    let bytes = 0;
    const tooMany = all.findIndex(({ chunk }, at) => (bytes += chunk.length) > maxBytes && at > 0);
    return tooMany < 0 ? [...all] : all.slice(0, tooMany);
  }

  async forwarded(task: string, { sequence, chunk }: Outgoing): Promise<void> {
    const found = this.#tasks.get(task);
    const at = found?.outgoing.findIndex((each) => each.sequence === sequence) ?? -1;
    const last = found?.outgoing[at];
    if (found === undefined || last === undefined || !isSame(last.chunk, chunk)) return;
    found.outgoing = found.outgoing.slice(at + 1);
  }

  async get(key: string, nowMs: number): Promise<ServedValue | undefined> {
    const found = this.#served.get(key);
    if (found === undefined || isExpired(found, nowMs)) return undefined;
    if (!(found instanceof Set)) return { type: 'string', ...found };
    const members = new OrderedMap<true>();
    for (const member of found) members.set(member, true);
    return { type: 'set', members: members.entries('').map(([member]) => member) };
  }

  async *keys(
    prefix: string,
    nowMs: number,
    { limit = Infinity, after }: { limit?: number; after?: string } = {},
  ): AsyncIterable<string> {
    yield* this.#served
      .entries(prefix, after)
      .filter(([, value]) => !isExpired(value, nowMs))
      .map(([key]) => key)
      .slice(0, limit);
  }

  async sweep(nowMs: number): Promise<number> {
    const expired = this.#served.entries('').filter(([, value]) => isExpired(value, nowMs));
    for (const [key] of expired) this.#served.delete(key);
    return expired.length;
  }

  async dropTask(task: string): Promise<void> {
    const { lastSequence } = this.#task(task);
    this.#tasks.set(task, { ...emptyTask(), lastSequence });
  }

  async sizeBytes(): Promise<undefined> {
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #task(name: string): Task {
    if (this.#tasks.get(name) === undefined) this.#tasks.set(name, emptyTask());
    return must(this.#tasks.get(name), 'it was set above');
  }

  /** All writes, or, when one is refused, none. */
  #serve(writes: readonly ServedWrite[]): void {
    const undo: (() => void)[] = [];
    try {
      for (const write of writes) undo.push(this.#apply(write));
    } catch (error) {
      for (const each of undo.toReversed()) each();
      throw error;
    }
  }

  /** Returns what takes it back. */
  #apply(write: ServedWrite): () => void {
    const { key } = write;
    checkStoreKey(key);
    const old = this.#served.get(key);
    const restore = () => this.#replace(key, old);
    switch (write.op) {
      case 'put': {
        if (old instanceof Set) refuse(write, old);
        const { value, expiresAtMs } = write;
        this.#replace(key, { value, ...(expiresAtMs !== undefined && { expiresAtMs }) });
        return restore;
      }
      case 'delete':
        this.#replace(key, undefined);
        return restore;
      case 'add': {
        const sum = old instanceof Set || old?.expiresAtMs !== undefined ? refuse(write, old) : old;
        if (!isDecimal(write.amount) || !isDecimal(sum?.value ?? '0')) refuse(write, sum);
        this.#replace(key, { value: addDecimals(sum?.value ?? '0', write.amount) });
        return restore;
      }
      case 'setAdd':
      case 'setRemove': {
        checkStoreKey(write.member);
        const set = old === undefined || old instanceof Set ? old : refuse(write, old);
        return write.op === 'setAdd'
          ? this.#setAdd(key, set, write.member)
          : this.#setRemove(key, set, write.member);
      }
    }
  }

  #setAdd(key: string, set: Set<string> | undefined, member: string): () => void {
    if (set?.has(member)) return () => {};
    this.#replace(key, (set ?? new Set()).add(member));
    return () => this.#setRemove(key, this.#served.get(key) as Set<string>, member);
  }

  #setRemove(key: string, set: Set<string> | undefined, member: string): () => void {
    if (!set?.delete(member)) return () => {};
    if (set.size === 0) this.#served.delete(key);
    return () => this.#replace(key, set.add(member));
  }

  #replace(key: string, value: Served | undefined): void {
    if (value === undefined) this.#served.delete(key);
    else this.#served.set(key, value);
  }
}

function emptyTask(): Task {
  return { offsets: undefined, state: new OrderedMap(), outgoing: [], lastSequence: 0 };
}

function sameOffsets(a: TaskOffsets, b: TaskOffsets): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}

function isExpired(served: Served, nowMs: number): boolean {
  return !(served instanceof Set) && (served.expiresAtMs ?? Infinity) <= nowMs;
}

function refuse(write: ServedWrite, found: Served | undefined): never {
  throw new MillraceError('served_write_refused', {
    key: write.key,
    write: write.op,
    ...(write.op === 'add' && { amount: write.amount }),
    found: describe(found),
  });
}

/** Without the value: facts are shown and logged. */
function describe(served: Served | undefined): string {
  if (served === undefined) return 'nothing';
  if (served instanceof Set) return 'a set';
  return served.expiresAtMs === undefined ? 'a string' : 'a string that expires';
}
