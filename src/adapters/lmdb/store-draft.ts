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
import type { Writer } from './store-tree.ts';

/**
 * Works out what a commit changes, over what is stored. Nothing is written before the whole is known
 * to be allowed: a refused commit throws here, and leaves no trace.
 *
 * HOT PATH. A commit has thousands of writes: state is written without being read, or gathered, and a
 * served key is read, parsed and written once, however often the commit changes it.
 */
export class StoreDraft {
  readonly #read: (key: string) => string | undefined;
  /** Served keys as they will be; undefined: absent. */
  readonly #served = new Map<string, ServedEntry | undefined>();
  /** All other entries that may be read again. */
  readonly #entries = new Map<string, string | undefined>();
  readonly #expiries: string[] = [];
  #commit: Readonly<{ commit: Commit; number: number; firstSequence: number }> | undefined;

  constructor(read: (key: string) => string | undefined) {
    this.#read = read;
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
    for (const [key] of commit.state) checkStoreKey(key);
    for (const write of commit.served) this.#serve(write);
    const before = task?.lastSequence ?? 0;
    const lastSequence = before + commit.outgoing.length;
    this.#commit = { commit, number, firstSequence: before + 1 };
    this.#setTask(commit.task, { number, offsets: commit.to, lastSequence });
  }

  /** What the task had is found by nobody from here on; it is removed later, as garbage. */
  dropTask(name: string): void {
    const stored = this.#get(taskKey(name));
    if (stored === undefined) return;
    const { number, lastSequence } = parseTask(stored);
    this.#entries.set(garbageKey(statePrefix(number)), '');
    this.#entries.set(garbageKey(outgoingPrefix(number)), '');
    this.#setTask(name, { number: this.#nextNumber(), lastSequence });
  }

  write(writer: Writer): void {
    if (this.#commit !== undefined) {
      const { commit, number, firstSequence } = this.#commit;
      const prefix = statePrefix(number);
      for (const [key, value] of commit.state) writeEntry(writer, prefix + key, value);
      for (const [at, chunk] of commit.outgoing.entries()) {
        writer.put(outgoingKey(number, firstSequence + at), chunk);
      }
    }
    for (const [key, entry] of this.#served) {
      writeEntry(writer, servedKey(key), entry && formatServed(entry));
    }
    for (const key of this.#expiries) writer.put(key, '');
    for (const [key, value] of this.#entries) writeEntry(writer, key, value);
  }

  #serve(write: ServedWrite): void {
    const { key } = write;
    checkStoreKey(key);
    const old = this.#servedEntry(key);
    switch (write.op) {
      case 'put': {
        if (old?.type === 'set') refuse(write, old);
        const { value, expiresAtMs } = write;
        if (expiresAtMs === undefined) {
          this.#served.set(key, { type: 'string', value });
          return;
        }
        // The index has it at its old expiry, which is found early enough.
        const isIndexed = old?.expiresAtMs !== undefined && old.expiresAtMs <= expiresAtMs;
        if (!isIndexed) this.#expiries.push(expiryKey(expiresAtMs, key));
        this.#served.set(key, { type: 'string', value, expiresAtMs });
        return;
      }
      case 'delete':
        this.#served.set(key, undefined);
        if (old?.type === 'set') this.#entries.set(garbageKey(membersPrefix(old.number)), '');
        return;
      case 'add': {
        if (old?.type === 'set' || old?.expiresAtMs !== undefined) refuse(write, old);
        const sum = old?.value ?? '0';
        if (!isDecimal(write.amount) || !isDecimal(sum)) refuse(write, old);
        this.#served.set(key, { type: 'string', value: addDecimals(sum, write.amount) });
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
    this.#entries.set(memberKey, '');
    this.#served.set(key, { type: 'set', number, count: count + 1 });
  }

  #setRemove(key: string, set: (ServedEntry & { type: 'set' }) | undefined, member: string): void {
    if (set === undefined) return;
    const memberKey = membersPrefix(set.number) + member;
    if (this.#get(memberKey) === undefined) return;
    this.#entries.set(memberKey, undefined);
    this.#served.set(key, set.count === 1 ? undefined : { ...set, count: set.count - 1 });
  }

  #setTask(name: string, task: TaskEntry): void {
    this.#entries.set(taskKey(name), JSON.stringify(task));
  }

  #nextNumber(): number {
    const number = Number(this.#get(LAST_NUMBER) ?? 0) + 1;
    this.#entries.set(LAST_NUMBER, String(number));
    return number;
  }

  #servedEntry(key: string): ServedEntry | undefined {
    const drafted = this.#served.get(key);
    if (drafted !== undefined || this.#served.has(key)) return drafted;
    const stored = this.#read(servedKey(key));
    return stored === undefined ? undefined : parseServed(stored);
  }

  #get(key: string): string | undefined {
    const drafted = this.#entries.get(key);
    return drafted !== undefined || this.#entries.has(key) ? drafted : this.#read(key);
  }
}

function writeEntry(writer: Writer, key: string, value: string | undefined): void {
  if (value === undefined) writer.remove(key);
  else writer.put(key, value);
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
