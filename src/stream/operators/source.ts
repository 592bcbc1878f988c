import type { Change, Row } from '../../domain/envelope.ts';
import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Operator, OperatorContext } from './operator.ts';

/** A change of a row, as it happened. `r`: it was copied, not changed. */
export type Fact<R> =
  | Readonly<{ op: 'c'; before: null; after: R }>
  | Readonly<{ op: 'u'; before: R | null; after: R }>
  | Readonly<{ op: 'd'; before: R | null; after: null }>
  | Readonly<{ op: 'r'; before: null; after: R }>;

/** A delete happens when it is committed, whatever `timeMs` says of the row that was. */
export function changeSource(
  topic: string,
  options: Readonly<{ copied: boolean; timeMs: ((row: never) => number) | undefined }>,
): NodeSpec {
  const { copied, timeMs } = options;
  const isTaken = ({ op }: Change): boolean =>
    op === 'c' || op === 'u' || op === 'd' || (copied && op === 'r');
  const timeOf = (change: Change): number | undefined => {
    if (!isTaken(change)) return undefined;
    const { after, source } = change;
    return after === null || timeMs === undefined ? source.ts_ms : timeMs(after as never);
  };
  return {
    kind: 'stream',
    inputs: [],
    settings: { topic, copied, ownTime: timeMs !== undefined },
    source: {
      topic,
      format: 'changes',
      takesCopies: copied,
      timeOf: timeOf as (value: never) => number,
    },
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, time) {
          const change = value as Change;
          if (isTaken(change)) {
            const { op, before, after } = change;
            emit?.(key, { op, before, after }, time);
          }
        },
      };
    },
  };
}

export function jsonSource(
  topic: string,
  timeOf: ((value: never) => number) | undefined,
): NodeSpec {
  return {
    kind: 'topic',
    inputs: [],
    settings: { topic, ownTime: timeOf !== undefined },
    source: {
      topic,
      format: 'json',
      takesCopies: false,
      ...(timeOf && { timeOf: ofValues(timeOf) }),
    },
    open: (context) => {
      const emit = context.emit();
      return {
        accept(_, key, value, time) {
          if (value !== null) emit?.(key, value, time);
        },
      };
    },
  };
}

/** Tombstones tell nothing about time. */
function ofValues(timeOf: (value: never) => number): (value: never) => number {
  return ((value: unknown) => (value === null ? undefined : timeOf(value as never))) as never;
}

/** Keeps each row as last seen, so that it can be taken back whatever `before` holds. */
export function tableSource(topic: string, name: string | undefined): NodeSpec {
  return {
    name,
    kind: 'table',
    inputs: [],
    isStateful: true,
    keeps: { form: 'values' },
    settings: { topic },
    source: {
      topic,
      format: 'changes',
      takesCopies: true,
      timeOf: ((change: Change) => (change.op === 'r' ? undefined : change.source.ts_ms)) as never,
    },
    open: tableRows,
  };
}

/** Stands where an unchanged large column was left out of the change. */
const UNAVAILABLE = '__debezium_unavailable_value';

function tableRows({ emit: output, state }: OperatorContext): Operator {
  const emit = output();
  return {
    probe(_, key, value) {
      if ((value as Change).op !== 't') state.want(textOf(key, value as Change));
    },
    accept(_, key, value, timeMs) {
      const change = value as Change;
      if (change.op === 'm') return;
      if (change.op === 't') {
        for (const [text, before] of state.entries('')) {
          state.set(text, undefined);
          emit?.(JSON.parse(text), { before, after: undefined }, timeMs);
        }
        return;
      }
      const text = textOf(key, change);
      const before = state.get(text) as Row | undefined;
      const after = change.op === 'd' ? undefined : filledIn(change.after, before);
      if (after === undefined && before === undefined) return;
      state.set(text, after);
      emit?.(key, { before, after, ...(change.op === 'r' && { isCopied: true }) }, timeMs);
    },
  };
}

function textOf(key: unknown, { source }: Change): string {
  if (key === null) throw new TypeError(`rows of ${source.table} have no key to be known by`);
  return JSON.stringify(key);
}

function filledIn(after: Row | null, before: Row | undefined): Row | undefined {
  if (after === null) return undefined;
  if (before === undefined || !Object.values(after).includes(UNAVAILABLE)) return after;
  const entries = Object.entries(after).map(([column, value]) => [
    column,
    value === UNAVAILABLE ? before[column] : value,
  ]);
  return Object.fromEntries(entries) as Row;
}
