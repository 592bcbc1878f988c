import type { NodeSpec } from '../topology/graph-builder.ts';
import type { Edge } from '../topology/graph.ts';
import type { SessionWindow } from '../topology/windows.ts';
import { added, type Aggregation } from './aggregate.ts';
import { KeyIndex } from './key-index.ts';
import { keyText, type Operator, type OperatorContext } from './operator.ts';

/** Of two sessions that turn out to be one. */
type Merging = Aggregation & Readonly<{ merge: (a: unknown, b: unknown) => unknown }>;

/** As kept, by their start: the times of its first and its last element, and what they make. */
type Session = readonly [startMs: number, lastMs: number, value: unknown];

/** One value a key and session; it goes when the session closes. */
export function sessionOperator(
  kind: string,
  input: Edge,
  { gapMs, graceMs }: SessionWindow,
  aggregation: Merging,
  name: string | undefined,
): NodeSpec {
  return {
    name,
    kind,
    inputs: [input],
    placement: 'by-key',
    isStateful: true,
    keeps: { form: 'sessions', gapMs },
    isTimed: true,
    delays: { final: graceMs },
    settings: { window: 'session', gapMs, graceMs },
    open: (context) => openSessions(gapMs, graceMs, aggregation, context),
  };
}

function openSessions(
  gapMs: number,
  graceMs: number,
  aggregation: Merging,
  { emit, state, watermarkMs, countLate }: OperatorContext,
): Operator {
  const updates = emit('updates');
  const final = emit('final');
  const late = emit('late');
  const waiting = new KeyIndex();
  const sessionsOf = (text: string) => (state.get(text) ?? []) as readonly Session[];
  const dueMs = ([, lastMs]: Session): number => lastMs + gapMs + graceMs;
  const firstDue = (sessions: readonly Session[]): number | undefined =>
    sessions.length === 0 ? undefined : Math.min(...sessions.map(dueMs));
  const windowOf = (key: unknown, [startMs, lastMs]: Session) => ({
    key,
    startMs,
    endMs: lastMs + gapMs,
  });

  return {
    probe: (_, key) => state.want(keyText(key)),

    accept(_, key, value, timeMs) {
      const text = keyText(key);
      const before = sessionsOf(text);
      const joined = before.filter(
        ([startMs, lastMs]) => timeMs < lastMs + gapMs && timeMs + gapMs > startMs,
      );
      if (joined.length === 0 && timeMs + gapMs + graceMs <= watermarkMs()) {
        countLate();
        late?.(key, value, timeMs);
        return;
      }
      const [first, ...others] = joined;
      let made = first?.[2];
      for (const [, , other] of others) made = aggregation.merge(made, other);
      const session: Session = [
        Math.min(timeMs, first?.[0] ?? timeMs),
        Math.max(timeMs, joined.at(-1)?.[1] ?? timeMs),
        added(aggregation, made, value, key, timeMs),
      ];
      const rest = before.filter((each) => !joined.includes(each));
      const after = [...rest, session].toSorted(([a], [b]) => a - b);
      state.set(text, after);
      waiting.atMost(firstDue(after) ?? Infinity, text);
      if (updates === undefined) return;
      for (const each of joined) {
        if (each[0] === session[0] && each[1] === session[1]) continue;
        updates(windowOf(key, each), undefined, timeMs);
      }
      updates(windowOf(key, session), session[2], timeMs);
    },

    timer: {
      nextMs: () => waiting.nextMs(),
      due: (watermark, limit) => waiting.due(watermark, limit),
      fire(text) {
        const sessions = sessionsOf(text);
        const at = firstDue(sessions);
        // Later than it was listed for: others come before it.
        if (at === waiting.listedAt(text)) {
          const key: unknown = JSON.parse(text);
          const rest = sessions.filter((each) => dueMs(each) !== at);
          state.set(text, rest.length === 0 ? undefined : rest);
          for (const each of sessions) {
            if (rest.includes(each)) continue;
            const window = windowOf(key, each);
            final?.(window, each[2], window.endMs - 1);
          }
          waiting.set(firstDue(rest), text);
        } else waiting.set(at, text);
      },
      drop(text) {
        const sessions = sessionsOf(text);
        const rest = sessions.filter((each) => dueMs(each) !== firstDue(sessions));
        state.set(text, rest.length === 0 ? undefined : rest);
        waiting.set(firstDue(rest), text);
      },
      restore: (text, sessions) => waiting.set(firstDue(sessions as readonly Session[]), text),
      reset: () => waiting.clear(),
    },
  };
}
