import type { Change, Row, TaskContext } from '../../../src/index.ts';
import type { RowTable } from '../row-tables.ts';
import { ROW_EFFECTS } from './row-effects.ts';

/** What Debezium writes for a large column that an update left alone and the log did not carry. */
const UNAVAILABLE = '__debezium_unavailable_value';
const PREFIX = 'row/';

/** State keys that `applyRow` asks for. */
export function seenRowKeys(change: Change): string[] {
  return change.op === 't' ? [] : [PREFIX + idOf(change)];
}

/** Serves the difference between the row after this change and the row last seen. */
export function applyRow(table: RowTable, change: Change, context: TaskContext): void {
  const { state } = context;
  const id = idOf(change);
  const old = seenRow(state.get(PREFIX + id));
  const row = change.op === 'd' ? undefined : completed(change.after, old);
  const text = row && JSON.stringify(row);
  const pair = { id, old, new: row, text, atMs: change.source.ts_ms };
  for (const write of ROW_EFFECTS[table](pair)) context.serve(write);
  if (text === undefined) state.delete(PREFIX + id);
  else state.set(PREFIX + id, text);
}

/** Takes back all that this partition's rows had put there. */
export async function truncateRows(
  table: RowTable,
  change: Change,
  context: TaskContext,
): Promise<void> {
  const { state } = context;
  const gone = { new: undefined, text: undefined, atMs: change.source.ts_ms };
  for await (const [key, text] of state.range(PREFIX)) {
    const pair = { ...gone, id: key.slice(PREFIX.length), old: seenRow(text) };
    for (const write of ROW_EFFECTS[table](pair)) context.serve(write);
    state.delete(key);
  }
}

/** The row's own id, which names it also where the topic has no key, or another. */
function idOf({ topic, op, before, after }: Change): string {
  const id = (after ?? before)?.['id'];
  if (typeof id !== 'number') throw new TypeError(`a ${op} of ${topic} has no number in column id`);
  return String(id);
}

function seenRow(text: string | undefined): Row | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as Row);
}

function completed(after: Row | null, old: Row | undefined): Row | undefined {
  if (after === null || old === undefined) return after ?? undefined;
  if (!Object.values(after).includes(UNAVAILABLE)) return after;
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [
      name,
      value === UNAVAILABLE ? (old[name] ?? value) : value,
    ]),
  );
}
