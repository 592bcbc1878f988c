import { MillraceError } from '../../domain/errors.ts';
import { compareUtf8 } from '../../lib/utf8-order.ts';
import type { Store } from '../../ports/store.ts';
import { keyText } from '../operators/operator.ts';
import { START } from '../operators/panes.ts';
import { storedTasks } from '../rebuild/generation-state.ts';
import { prefixOf } from '../stage/stage-run.ts';
import type { Compiled } from '../topology/compile.ts';
import type { GraphNode, KeptResults } from '../topology/graph.ts';
import type { Windowed } from '../topology/windows.ts';

/** An operator whose state may be asked for. */
export type KeptOperator = Readonly<{
  operator: string;
  /** Its kind, such as count. */
  does: string;
  /** `windows`: a value a key and window, sessions too; else one a key. */
  keeps: 'values' | 'windows';
}>;

export type KeptValue = Readonly<{ key: unknown; value: unknown }>;
export type KeptWindow = Windowed<unknown> & Readonly<{ value: unknown }>;

/** At most so many; by key, and windows of a key by their start. */
type Limited = Readonly<{ limit?: number }>;

const DEFAULT_LIMIT = 1000;

/**
 * Reads what the operators of a topology keep, over all of its tasks: as of each task's last commit,
 * so an answer over several tasks is of no one instant. The topology is the one that the state
 * was made by. Throws `usage` for an operator that keeps nothing of the kind.
 */
export class StateReader {
  readonly #store: Store;
  readonly #compiled: Compiled;

  constructor(store: Store, compiled: Compiled) {
    this.#store = store;
    this.#compiled = compiled;
  }

  get operators(): readonly KeptOperator[] {
    return this.#compiled.topology.nodes.flatMap(({ id, kind, keeps }) =>
      keeps === undefined ? [] : [{ operator: id, does: kind, keeps: shapeOf(keeps) }],
    );
  }

  /** The row of a table, an aggregate, or the state of a process; undefined where there is none. */
  async get(operator: string, key: unknown): Promise<unknown> {
    const { node, keeps } = this.#find(operator, 'values');
    const at = prefixOf(node) + keyText(key);
    for (const task of await this.#tasksOf(node)) {
      const [text] = await this.#store.getMany(task, [at]);
      if (text !== undefined) return valueIn(keeps, JSON.parse(text));
    }
    return undefined;
  }

  /** Of keys that are texts, those that start with `prefix`; of others, those whose JSON does. */
  async entries(
    operator: string,
    { prefix = '', limit = DEFAULT_LIMIT }: Limited & Readonly<{ prefix?: string }> = {},
  ): Promise<readonly KeptValue[]> {
    const { node, keeps } = this.#find(operator, 'values');
    const starts = prefix === '' ? [''] : [prefix, JSON.stringify(prefix).slice(0, -1)];
    const found: (readonly [text: string, value: unknown])[] = [];
    for (const task of await this.#tasksOf(node)) {
      for (const start of starts) {
        const own = prefixOf(node);
        for await (const [at, text] of this.#store.range(task, own + start, { limit })) {
          const value = valueIn(keeps, JSON.parse(text));
          if (value !== undefined) found.push([at.slice(own.length), value]);
        }
      }
    }
    return found
      .toSorted(([a], [b]) => compareUtf8(a, b))
      .slice(0, limit)
      .map(([text, value]) => ({ key: JSON.parse(text), value }));
  }

  /**
   * Windows that have something of the time from `fromMs` until before `toMs`, of one key or of all.
   * A window is there until it closes; one made of panes may be for as long as its last pane.
   */
  async windows(
    operator: string,
    {
      key,
      fromMs = -Infinity,
      toMs = Infinity,
      limit = DEFAULT_LIMIT,
    }: Limited & Readonly<{ key?: unknown; fromMs?: number; toMs?: number }> = {},
  ): Promise<readonly KeptWindow[]> {
    const { node, keeps } = this.#find(operator, 'windows');
    const found: (readonly [text: string, window: KeptWindow])[] = [];
    for (const task of await this.#tasksOf(node)) {
      for await (const [text, window] of this.#windowsIn(task, node, keeps, key)) {
        if (window.startMs < toMs && window.endMs > fromMs) found.push([text, window]);
      }
    }
    return found
      .toSorted(([a, { startMs: x }], [b, { startMs: y }]) => compareUtf8(a, b) || x - y)
      .slice(0, limit)
      .map(([, window]) => window);
  }

  async *#windowsIn(
    task: string,
    node: GraphNode,
    keeps: KeptResults,
    key: unknown,
  ): AsyncGenerator<readonly [text: string, window: KeptWindow], void> {
    const own = prefixOf(node);
    const text = key === undefined ? undefined : keyText(key);
    if (keeps.form === 'sessions') {
      for await (const [at, value] of this.#store.range(task, own + (text ?? ''))) {
        const found = at.slice(own.length);
        if (text !== undefined && found !== text) continue;
        type Session = readonly [startMs: number, lastMs: number, value: unknown];
        for (const [startMs, lastMs, made] of JSON.parse(value) as readonly Session[]) {
          const window = { key: JSON.parse(found), startMs, endMs: lastMs + keeps.gapMs };
          yield [found, { ...window, value: made }];
        }
      }
      return;
    }
    if (keeps.form !== 'windows') return;
    const panes = new Map<string, Map<number, unknown>>();
    const start = text === undefined ? '' : text + START;
    for await (const [at, value] of this.#store.range(task, own + start)) {
      const end = at.lastIndexOf(START);
      const found = at.slice(own.length, end);
      let ofKey = panes.get(found);
      if (ofKey === undefined) panes.set(found, (ofKey = new Map<number, unknown>()));
      ofKey.set(Number(at.slice(end + 1)), JSON.parse(value));
    }
    for (const [found, ofKey] of panes) {
      for (const { startMs, value } of this.#together(node, keeps, ofKey)) {
        const window = { key: JSON.parse(found), startMs, endMs: startMs + keeps.sizeMs };
        yield [found, { ...window, value }];
      }
    }
  }

  /** Windows by their start, of what is kept by start. */
  *#together(
    node: GraphNode,
    { sizeMs, advanceMs, merge }: Extract<KeptResults, { form: 'windows' }>,
    kept: ReadonlyMap<number, unknown>,
  ): Generator<Readonly<{ startMs: number; value: unknown }>, void> {
    // As the operator decides it: where each update is asked for, windows are kept whole.
    const { nodes } = this.#compiled.topology;
    const isUpdated = nodes.some(({ inputs }) =>
      inputs.some((edge) => edge.node === node && edge.port === 'updates'),
    );
    const starts = [...kept.keys()].toSorted((a, b) => a - b);
    if (merge === undefined || isUpdated) {
      for (const startMs of starts) yield { startMs, value: kept.get(startMs) };
      return;
    }
    const [first = 0] = starts;
    const last = starts.at(-1) ?? first;
    for (let startMs = first - sizeMs + advanceMs; startMs <= last; startMs += advanceMs) {
      const within = starts.filter((pane) => pane >= startMs && pane < startMs + sizeMs);
      const parts = within.map((pane) => kept.get(pane));
      if (parts.length > 0) yield { startMs, value: parts.reduce((a, b) => merge(a, b)) };
    }
  }

  #find(
    operator: string,
    shape: KeptOperator['keeps'],
  ): Readonly<{ node: GraphNode; keeps: KeptResults }> {
    const node = this.#compiled.topology.nodes.find(({ id }) => id === operator);
    const keeps = node?.keeps;
    if (node !== undefined && keeps !== undefined && shapeOf(keeps) === shape)
      return { node, keeps };
    const known = this.operators.filter((each) => each.keeps === shape);
    const names = known.map((each) => each.operator).join(', ');
    const { name } = this.#compiled.topology;
    throw new MillraceError('usage', {
      expected: `an operator of ${name} that keeps ${shape}: ${names === '' ? 'it has none' : names}`,
      found: operator,
    });
  }

  async #tasksOf(node: GraphNode): Promise<readonly string[]> {
    const { topology, generation, stages } = this.#compiled;
    const topics = stages.filter(({ nodes }) => nodes.includes(node)).map(({ topic }) => topic);
    const stored = await storedTasks(this.#store, topology.name);
    return stored
      .filter((each) => each.generation === generation)
      .filter(({ id }) => topics.includes(id.slice(0, id.lastIndexOf('-'))))
      .map(({ task }) => task);
  }
}

function shapeOf({ form }: KeptResults): KeptOperator['keeps'] {
  return form === 'values' || form === 'parts' ? 'values' : 'windows';
}

function valueIn({ form }: KeptResults, kept: unknown): unknown {
  return form === 'parts' ? (kept as Readonly<{ value?: unknown }>).value : kept;
}
