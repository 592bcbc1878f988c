import type { Change, TaskContext, TaskState } from '../../../src/index.ts';
import { rowKey } from './row-key.ts';

const HOUR_MS = 3_600_000;
const COUNT = 'changes/count';
/** Entries of the chunk that is being filled, a line each. */
const HEAD = 'changes/head';
/** What is left to evict of the oldest chunk. */
const TAIL = 'changes/tail';

/**
 * Serves the newest changes of a topic partition, at most `capacity`, each under its own key.
 *
 * The entries form a ring in chunks, so that a change costs the same however long the ring is: it
 * appends a line to the head, and takes one off the tail. Once a chunk, an old one is loaded, and
 * the counters of the one before it, which nothing in the ring needs any more, are removed.
 */
export class ChangeJournal {
  readonly #capacity: number;
  readonly #chunk: number;

  constructor({ capacity = 10_000, chunk = 100 } = {}) {
    if (capacity % chunk !== 0) throw new RangeError('a journal holds whole chunks');
    this.#capacity = capacity;
    this.#chunk = chunk;
  }

  /** State keys that `record` asks for. */
  keys(change: Change): string[] {
    return [counterKey(momentOf(change)), COUNT, HEAD, TAIL];
  }

  /** Asynchronous once a chunk, when an old one must be loaded. */
  record(change: Change, context: TaskContext): void | Promise<void> {
    const { state } = context;
    const prefix = `cdc:change:${change.source.table}:`;
    const entry = this.#append(change, state);
    context.serve({
      op: 'put',
      key: prefix + entry,
      value: valueOf(change),
      expiresAtMs: change.source.ts_ms + HOUR_MS,
    });
    const oldest = Number(state.get(COUNT)) - 1 - this.#capacity;
    if (oldest < 0) return undefined;
    const evict = (): void => context.serve({ op: 'delete', key: prefix + takeOldest(state) });
    if (oldest % this.#chunk > 0) return evict();
    return this.#turn(oldest / this.#chunk, state).then(evict);
  }

  #append(change: Change, state: TaskState): string {
    const moment = momentOf(change);
    const n = Number(state.get(counterKey(moment)) ?? -1) + 1;
    state.set(counterKey(moment), String(n));

    const entry = `${change.source.ts_ms}:${change.op}:${rowKey(change.key)}-${n}`;
    const count = Number(state.get(COUNT) ?? 0);
    const lines = (state.get(HEAD) ?? '') + entry + '\n';
    const isFull = (count + 1) % this.#chunk === 0;
    if (isFull) state.set(chunkKey(Math.floor(count / this.#chunk)), lines);
    state.set(HEAD, isFull ? '' : lines);
    state.set(COUNT, String(count + 1));
    return entry;
  }

  /** Makes chunk `index` the tail, and removes what the one before it has left. */
  async #turn(index: number, state: TaskState): Promise<void> {
    await state.load([chunkKey(index), chunkKey(index - 1)]);
    state.set(TAIL, state.get(chunkKey(index)) ?? '');
    const spent = (state.get(chunkKey(index - 1)) ?? '').split('\n').slice(0, -1).map(parseEntry);
    await state.load(spent.map(({ counter }) => counter));
    // A greater count means that a later change of that row and time is still in the ring.
    for (const { counter, n } of spent) if (state.get(counter) === n) state.delete(counter);
    state.delete(chunkKey(index - 1));
  }
}

function takeOldest(state: TaskState): string {
  const lines = state.get(TAIL) ?? '';
  const end = lines.indexOf('\n');
  state.set(TAIL, lines.slice(end + 1));
  return lines.slice(0, end);
}

function parseEntry(entry: string): Readonly<{ counter: string; n: string }> {
  const [time = '', , ...rest] = entry.split(':');
  const row = rest.join(':');
  const dash = row.lastIndexOf('-');
  return { counter: counterKey(`${time}:${row.slice(0, dash)}`), n: row.slice(dash + 1) };
}

/** A row and a commit time: what `n` counts the changes of. */
function momentOf({ source, key }: Change): string {
  return `${source.ts_ms}:${rowKey(key)}`;
}

function counterKey(moment: string): string {
  return `changes/n/${moment}`;
}

function chunkKey(index: number): string {
  return `changes/chunk/${index}`;
}

/** Tasks read no clock, so a change counts as processed when the connector did so. */
function valueOf({ op, before, after, source, ts_ms: connectorMs }: Change): string {
  return JSON.stringify({
    operation: op,
    table: source.table,
    timestamp: source.ts_ms,
    before,
    after,
    processed_at: new Date(connectorMs ?? source.ts_ms).toISOString(),
  });
}
