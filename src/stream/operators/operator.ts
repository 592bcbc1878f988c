import type { Header } from '../../domain/record-block.ts';
import type { ServedWrite } from '../../ports/store.ts';

/** A key of a stream or table: any JSON value; equal are those with the same text. */
export type Key = unknown;

/** Hands an element on. What is handed on is never changed afterwards. */
export type Emit = (key: Key, value: unknown, timeMs: number) => void;

/** A change of one row of a table, as it travels between operators. */
export type RowChange<V = unknown> = Readonly<{
  before: V | undefined;
  after: V | undefined;
  /** The row was copied: how long it has been so is not known. */
  isCopied?: boolean;
}>;

/** JSON values by text key, of one operator. Never changed in place: `set` replaces. */
export interface OperatorState {
  get(key: string): unknown;
  /** Undefined removes. */
  set(key: string, value: unknown): void;
  /** All entries whose key starts with `prefix`, in the order of their keys. */
  entries(prefix: string): readonly (readonly [key: string, value: unknown])[];
  /** Says that `get` will be called. */
  want(key: string): void;
}

export type OperatorContext = Readonly<{
  /** The output of this port; undefined where nobody takes what comes out of it. */
  emit(port?: string): Emit | undefined;
  state: OperatorState;
  /** The time that this operator's inputs have reached: what is earlier is late. */
  watermarkMs(): number;
  serve(write: ServedWrite): void;
  put(
    topic: string,
    key: string | null,
    value: string | null,
    timeMs: number,
    headers?: readonly Header[],
  ): void;
  /** An element came too late for its window: it is counted. */
  countLate(): void;
}>;

/** What a node does, in one task. Synchronous; a throw fails the record at hand, and undoes it. */
export interface Operator {
  accept(input: number, key: Key, value: unknown, timeMs: number): void;
  /** Stateful ones: names the state that `accept` would ask for, and does nothing else. */
  probe?(input: number, key: Key, value: unknown, timeMs: number): void;
  timer?: OperatorTimer;
}

/**
 * What waits for time to pass in a timed operator: each under a key of its own, that of its state if
 * not said otherwise, and kept or undone on its own.
 */
export interface OperatorTimer {
  /** The least watermark at which something is due, or one before it; undefined when nothing waits. */
  nextMs(): number | undefined;
  /** Keys of what is due at this watermark, in an order that follows from the state alone. */
  due(watermarkMs: number, limit: number): readonly string[];
  /** Names the state that `fire` would ask for, where the key is not that of its state. */
  want?(key: string): void;
  /** Does the first that is due; nothing, if it turns out to be due later. */
  fire(key: string): void;
  /** Gives it up, as it can't be done. Returns what is lost by that, if not the state under its key. */
  drop(key: string): unknown;
  /** An entry of the state, after a start: so the operator knows what waits. */
  restore(key: string, value: unknown): void;
  /** Forgets what waits; `restore` follows. */
  reset(): void;
}

/** Text by which keys are equal, stored and partitioned. */
export function keyText(key: Key): string {
  if (Number.isInteger(key)) return String(key);
  const text = JSON.stringify(key) as string | undefined;
  // What JSON cannot say would be one key with all else that it cannot say.
  if (text === undefined || (text === 'null' && key !== null))
    throw new TypeError(`key: expected a JSON value, found ${String(key)}`);
  return text;
}

/** What a user's function returned, unless it has only promised it. */
export function given<T>(value: T): T {
  if (!(value instanceof Promise)) return value;
  value.catch(() => undefined);
  throw new TypeError(
    'a function of a topology returned a promise: expected its value; services are called by a sink, or by a processor that is an object with an async `process`',
  );
}
