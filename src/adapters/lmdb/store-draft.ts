import { addDecimals, isDecimal } from '../../domain/decimal.ts';
import { MillraceError } from '../../domain/errors.ts';
import { checkStoreKey } from '../../domain/store-key.ts';
import type { Commit, ServedWrite, TaskOffsets } from '../../ports/store.ts';
import type { ServedEntry, TaskEntry } from './store-entries.ts';
import { formatServed, parseServed, parseTask } from './store-entries.ts';
import {
  expiryKey,
  garbageKey,
  LAST_NUMBER,
  membersPrefix,
  outgoingKey,
  outgoingPrefix,
  servedKey,
  statePrefix,
  taskKey,
} from './store-keys.ts';
import type { Value } from './store-tree.ts';

/**
 * Works out the entries that a commit changes, over what is stored. Nothing is written before the
 * whole is known to be allowed: a refused commit throws here, and leaves no trace.
 */
export class StoreDraft {
  readonly #read: (key: string) => string | undefined;
  readonly #changes = new Map<string, Value | undefined>();

  constructor(read: (key: string) => string | undefined) {
    this.#read = read;
  }

  /** Entries to write; undefined removes. */
  get changes(): ReadonlyMap<string, Value | undefined> {
    return this.#changes;
  }

  commit(commit: Commit): void {
    checkStoreKey(commit.task);
    const stored = this.#get(taskKey(commit.task));
    const task = stored === undefined ? undefined : parseTask(stored);
    const found = task?.offsets ?? {};
    if (!sameOffsets(found, commit.from)) {
      throw new MillraceError('commit_conflict', {
        task: commit.task,
        expected: commit.from,
        found,
      });
    }
    const number = task?.number ?? this.#nextNumber();
    const prefix = statePrefix(number);
    for (const [key, value] of commit.state) {
      checkStoreKey(key);
      this.#changes.set(prefix + key, value);
    }
    for (const write of commit.served) this.#serve(write);

    let lastSequence = task?.lastSequence ?? 0;
    for (const chunk of commit.outgoing) {
      this.#changes.set(outgoingKey(number, ++lastSequence), chunk);
    }
    this.#setTask(commit.task, { number, offsets: commit.to, lastSequence });
  }

  /** What the task had is found by nobody from here on; it is removed later, as garbage. */
  dropTask(name: string): void {
    const stored = this.#get(taskKey(name));
    if (stored === undefined) return;
    const { number, lastSequence } = parseTask(stored);
    this.#changes.set(garbageKey(statePrefix(number)), '');
    this.#changes.set(garbageKey(outgoingPrefix(number)), '');
    this.#setTask(name, { number: this.#nextNumber(), lastSequence });
  }

  #serve(write: ServedWrite): void {
    const { key } = write;
    checkStoreKey(key);
    const stored = this.#get(servedKey(key));
    const old = stored === undefined ? undefined : parseServed(stored);
    switch (write.op) {
      case 'put': {
        if (old?.type === 'set') refuse(write, old);
        const { value, expiresAtMs } = write;
        this.#replace(key, old, {
          type: 'string',
          value,
          ...(expiresAtMs !== undefined && { expiresAtMs }),
        });
        return;
      }
      case 'delete':
        this.#replace(key, old, undefined);
        if (old?.type === 'set') this.#changes.set(garbageKey(membersPrefix(old.number)), '');
        return;
      case 'add': {
        if (old?.type === 'set' || old?.expiresAtMs !== undefined) refuse(write, old);
        const sum = old?.value ?? '0';
        if (!isDecimal(write.amount) || !isDecimal(sum)) refuse(write, old);
        this.#replace(key, old, { type: 'string', value: addDecimals(sum, write.amount) });
        return;
      }
      case 'setAdd':
      case 'setRemove':
        checkStoreKey(write.member);
        if (old?.type === 'string') refuse(write, old);
        if (write.op === 'setAdd') this.#setAdd(key, old, write.member);
        else this.#setRemove(key, old, write.member);
    }
  }

  #setAdd(key: string, set: (ServedEntry & { type: 'set' }) | undefined, member: string): void {
    const { number, count } = set ?? { number: this.#nextNumber(), count: 0 };
    const memberKey = membersPrefix(number) + member;
    if (this.#get(memberKey) !== undefined) return;
    this.#changes.set(memberKey, '');
    this.#replace(key, set, { type: 'set', number, count: count + 1 });
  }

  #setRemove(key: string, set: (ServedEntry & { type: 'set' }) | undefined, member: string): void {
    if (set === undefined) return;
    const memberKey = membersPrefix(set.number) + member;
    if (this.#get(memberKey) === undefined) return;
    this.#changes.set(memberKey, undefined);
    this.#replace(key, set, set.count === 1 ? undefined : { ...set, count: set.count - 1 });
  }

  #replace(key: string, old: ServedEntry | undefined, entry: ServedEntry | undefined): void {
    if (old?.type === 'string' && old.expiresAtMs !== undefined) {
      this.#changes.set(expiryKey(old.expiresAtMs, key), undefined);
    }
    if (entry?.type === 'string' && entry.expiresAtMs !== undefined) {
      this.#changes.set(expiryKey(entry.expiresAtMs, key), '');
    }
    this.#changes.set(servedKey(key), entry && formatServed(entry));
  }

  #setTask(name: string, task: TaskEntry): void {
    this.#changes.set(taskKey(name), JSON.stringify(task));
  }

  #nextNumber(): number {
    const number = Number(this.#get(LAST_NUMBER) ?? 0) + 1;
    this.#changes.set(LAST_NUMBER, String(number));
    return number;
  }

  #get(key: string): string | undefined {
    const changed = this.#changes.get(key);
    if (typeof changed === 'string') return changed;
    return this.#changes.has(key) ? undefined : this.#read(key);
  }
}

function sameOffsets(a: TaskOffsets, b: TaskOffsets): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

function refuse(write: ServedWrite, found: ServedEntry | undefined): never {
  throw new MillraceError('served_write_refused', {
    key: write.key,
    write: write.op,
    ...(write.op === 'add' && { amount: write.amount }),
    found: describe(found),
  });
}

/** Without the value: facts are shown and logged. */
function describe(entry: ServedEntry | undefined): string {
  if (entry === undefined) return 'nothing';
  if (entry.type === 'set') return 'a set';
  return entry.expiresAtMs === undefined ? 'a string' : 'a string that expires';
}
