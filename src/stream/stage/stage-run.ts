import type { Header, LogRecord } from '../../domain/record-block.ts';
import { must } from '../../lib/must.ts';
import type { ServedWrite } from '../../ports/store.ts';
import { type Emit, keyText, type Operator, type OperatorTimer } from '../operators/operator.ts';
import type { Compiled, Exit, Stage } from '../topology/compile.ts';
import type { GraphNode } from '../topology/graph.ts';
import { type Delays, delaysIn, delayTo, exitDelaysOf, takersOf } from '../topology/delays.ts';
import { type Internal, type Item, itemOf, timeAt } from './item.ts';
import { Miss, type ObjectState } from './object-state.ts';
import { type KeptTime, StreamTime } from './stream-time.ts';

/** Where the effects of a stage go. */
export type StageOutputs = Readonly<{
  serve(write: ServedWrite): void;
  /** `partition` undefined: that of the key. */
  put(
    topic: string,
    partition: number | undefined,
    key: string | null,
    value: string | null,
    timeMs: number,
    headers?: readonly Header[],
  ): void;
  countLate(): void;
}>;

/** Between an operator's id and its own key, in the task's state keys. */
const OWN = '\u0002';
/** An upstream task that hands nothing on tells its watermark so often, in event time. */
const TELL_EVERY_MS = 1000;

type OpenNode = Readonly<{
  node: GraphNode;
  operator: Operator;
  prefix: string;
  delayMs: number;
  timer: OperatorTimer | undefined;
  /** How far time has come for it: not before all that was due earlier in the stage has been done. */
  clock: { nowMs: number };
}>;

/**
 * One stage at work in one task: its operators, wired. Synchronous: state that is not at hand makes
 * it throw a Miss, whereupon the caller undoes the element, fetches, and does it again.
 */
export class StageRun {
  readonly time: StreamTime;
  readonly isStateful: boolean;
  readonly #stage: Stage;
  readonly #self: string;
  readonly #state: ObjectState;
  readonly #outputs: StageOutputs;
  readonly #partitionsOf: (topic: string) => number;
  readonly #nodes: readonly OpenNode[];
  readonly #byId: ReadonlyMap<string, OpenNode>;
  readonly #timed: readonly OpenNode[];
  readonly #entries: readonly Emit[];
  readonly #probes: readonly (Emit | undefined)[];
  /** The greatest delay of what leaves for a topic. */
  readonly #exitDelays: ReadonlyMap<string, number>;
  /** What comes in may be so far behind the time that has passed at the sources. */
  readonly #delayMs: number;
  /** The watermark for which all that was due has been done: what other stages may be told. */
  #settledMs = -Infinity;

  constructor(options: {
    compiled: Compiled;
    stage: Stage;
    partition: number;
    partitionsOf: (topic: string) => number;
    state: ObjectState;
    outputs: StageOutputs;
  }) {
    const { stage, partition, partitionsOf, state, outputs } = options;
    this.#stage = stage;
    this.#state = state;
    this.#outputs = outputs;
    this.#partitionsOf = partitionsOf;
    this.#self = `${stage.topic}-${partition}`;
    this.time = new StreamTime(
      stage.format === 'internal'
        ? stage.upstream.flatMap((topic) =>
            Array.from({ length: partitionsOf(topic) }, (_, at) => `${topic}-${at}`),
          )
        : [this.#self],
    );
    const delays = delaysIn(stage);
    const open = new Map<GraphNode, OpenNode>();
    // From the end: what an operator hands on is taken by one that is there already.
    for (const node of stage.nodes.toReversed()) open.set(node, this.#open(node, open, delays));
    this.#nodes = stage.nodes.map((node) => must(open.get(node), 'each was opened'));
    this.#byId = new Map(this.#nodes.map((each) => [each.node.id, each]));
    this.#timed = this.#nodes.filter(({ timer }) => timer !== undefined);
    this.#entries = stage.entries.map(({ node, input }) =>
      into(must(open.get(node), 'as above'), input),
    );
    const probes = new Map<GraphNode, Operator>();
    for (const node of stage.nodes.toReversed()) {
      const probe = probeOf(node, stage, must(open.get(node), 'as above').operator, probes);
      if (probe !== undefined) probes.set(node, probe);
    }
    this.#probes = stage.entries.map(({ node, input }) => {
      const probe = probes.get(node);
      return probe && ((key, value, timeMs) => probe.accept(input, key, value, timeMs));
    });
    this.isStateful = this.#probes.some((probe) => probe !== undefined);
    this.#exitDelays = exitDelaysOf(stage);
    this.#delayMs = delayTo(options.compiled, stage);
  }

  /** Undefined: there is nothing to do. Throws where the record is not what the stage reads. */
  decode(record: LogRecord, partition: number): Item | undefined {
    return itemOf(this.#stage, record, partition, this.#self);
  }

  /** Says which state `process` would ask for first; what a user's function throws is for `process`. */
  probe(item: Item): void {
    if (item.isTimeOnly) return;
    for (let at = 0; at < this.#probes.length; at += 1) {
      if (item.entry !== undefined && item.entry !== at) continue;
      try {
        this.#probes[at]?.(item.key, item.value, timeAt(item, at));
      } catch {
        // It is met again, where it can be told whose fault it is.
      }
    }
  }

  /** Time moves on first: `due` tells what that makes due. */
  observe(item: Item): void {
    const timeMs = item.watermarkMs ?? item.timeMs;
    if (timeMs !== undefined) this.time.observe(item.upstream, timeMs);
  }

  process(item: Item): void {
    if (item.isTimeOnly) return;
    const { entry: only, key, value } = item;
    if (only !== undefined) {
      must(this.#entries[only], 'exits number entries')(key, value, timeAt(item, only));
      return;
    }
    for (let at = 0; at < this.#entries.length; at += 1)
      this.#entries[at]?.(key, value, timeAt(item, at));
  }

  /**
   * Keys of what time has made due, with their operator, of the first operator that has any. Time
   * has come to an operator only once nothing before it is due.
   */
  due(limit: number): readonly string[] {
    const { watermarkMs } = this.time;
    for (const { timer, delayMs, prefix, clock } of this.#timed) {
      clock.nowMs = watermarkMs - delayMs;
      const due = timer?.due(clock.nowMs, limit) ?? [];
      if (due.length > 0) return due.map((key) => prefix + key);
    }
    this.#settledMs = watermarkMs;
    return [];
  }

  /** Says which state what is due would ask for. */
  wantDue(limit: number): void {
    const { watermarkMs } = this.time;
    for (const { timer, delayMs, prefix } of this.#timed) {
      for (const key of timer?.due(watermarkMs - delayMs, limit) ?? []) {
        if (timer?.want === undefined) this.#state.want(prefix + key);
        else timer.want(key);
      }
    }
  }

  fire(stateKey: string): void {
    const { timer, key, node } = this.#timerOf(stateKey);
    inStep(node, () => timer.fire(key));
  }

  /** Returns what was given up. */
  drop(stateKey: string): unknown {
    const { timer, key } = this.#timerOf(stateKey);
    const value = timer.want === undefined ? this.#state.get(stateKey) : undefined;
    return timer.drop(key) ?? value;
  }

  /** Nothing before `timeMs` comes to the sources any more, and all that did has come to this stage. */
  pass(timeMs: number): void {
    this.time.advance(timeMs - this.#delayMs);
  }

  /** The least time that must have passed at the sources for something here to be due. */
  nextMs(): number | undefined {
    let next: number | undefined;
    for (const { timer, delayMs } of this.#timed) {
      const each = timer?.nextMs();
      if (each !== undefined) next = Math.min(next ?? Infinity, each + delayMs + this.#delayMs);
    }
    return next;
  }

  /** Tells the stages after this one how far time has come, where nothing else has told them. */
  tellTime(everyMs = TELL_EVERY_MS): void {
    const watermarkMs = this.#settledMs;
    if (watermarkMs === -Infinity) return;
    for (const [topic, delay] of this.#exitDelays) {
      for (let partition = 0; partition < this.#partitionsOf(topic); partition += 1) {
        const target = `${topic}-${partition}`;
        const reached = watermarkMs - delay;
        const told = this.time.toldTo(target);
        if (reached <= told || reached - told < everyMs) continue;
        this.time.tell(target, reached);
        const value = JSON.stringify({ u: this.#self, w: reached } satisfies Internal);
        this.#outputs.put(topic, partition, null, value, watermarkMs);
      }
    }
  }

  /** How far time at the sources has come here, and was told on. */
  reachedMs(): number {
    let least = this.time.watermarkMs;
    for (const [topic, delay] of this.#exitDelays) {
      for (let partition = 0; partition < this.#partitionsOf(topic); partition += 1) {
        least = Math.min(least, this.time.toldTo(`${topic}-${partition}`) + delay);
      }
    }
    return least + this.#delayMs;
  }

  /**
   * Begins anew at a time as of which all that was due had been done, as it always is when a task
   * commits; `restore` follows, an entry of the state each.
   */
  reset(kept: KeptTime | undefined): void {
    this.time.restore(kept);
    this.#settledMs = this.time.watermarkMs;
    for (const { timer, clock, delayMs } of this.#timed) {
      clock.nowMs = this.time.watermarkMs - delayMs;
      timer?.reset();
    }
  }

  /** An entry of the task's state, after a start. */
  restore(stateKey: string, value: () => unknown): void {
    const at = stateKey.indexOf(OWN);
    const timer = this.#byId.get(stateKey.slice(0, at))?.timer;
    timer?.restore(stateKey.slice(at + OWN.length), value());
  }

  #timerOf(stateKey: string): { timer: OperatorTimer; key: string; node: GraphNode } {
    const at = stateKey.indexOf(OWN);
    const open = must(this.#byId.get(stateKey.slice(0, at)), 'state belongs to a node');
    return {
      timer: must(open.timer, 'only timed nodes are due'),
      key: stateKey.slice(at + OWN.length),
      node: open.node,
    };
  }

  #open(node: GraphNode, open: ReadonlyMap<GraphNode, OpenNode>, delays: Delays): OpenNode {
    const prefix = prefixOf(node);
    const state = this.#state;
    const clock = { nowMs: -Infinity };
    const outputs = this.#outputs;
    const delayMs = delays.of(node);
    const operator = node.open({
      emit: (port = '') => this.#emitterOf(node, port, open),
      state: {
        get: (key) => state.get(prefix + key),
        set: (key, value) => state.set(prefix + key, value),
        want: (key) => state.want(prefix + key),
        entries: (start) =>
          state
            .entries(prefix + start)
            .map(([key, value]) => [key.slice(prefix.length), value] as const),
      },
      watermarkMs: () => clock.nowMs,
      serve: (write) => outputs.serve(write),
      put: (topic, key, value, timeMs, headers) =>
        outputs.put(topic, undefined, key, value, timeMs, headers),
      countLate: () => outputs.countLate(),
    });
    return { node, operator, prefix, delayMs, timer: operator.timer, clock };
  }

  #emitterOf(
    node: GraphNode,
    port: string,
    open: ReadonlyMap<GraphNode, OpenNode>,
  ): Emit | undefined {
    const takers = takersOf(this.#stage, node, port).map(({ taker, input }) =>
      into(must(open.get(taker), 'takers come after'), input),
    );
    const exits = this.#stage.exits
      .filter(({ edge }) => edge.node === node && edge.port === port)
      .map((exit) => this.#leave(exit));
    const all = [...takers, ...exits];
    const [only] = all;
    if (all.length <= 1) return only;
    return (key, value, timeMs) => {
      for (const each of all) each(key, value, timeMs);
    };
  }

  #leave({ topic, entry }: Exit): Emit {
    return (key, value, timeMs) => {
      const delay = this.#exitDelays.get(topic) ?? 0;
      const w = this.#settledMs === -Infinity ? null : this.#settledMs - delay;
      const record = { n: entry, u: this.#self, w, v: value } satisfies Internal;
      this.#outputs.put(topic, undefined, keyText(key), JSON.stringify(record), timeMs);
    };
  }
}

/** The state prefix of an operator. */
export function prefixOf({ id }: Pick<GraphNode, 'id'>): string {
  return id + OWN;
}

const steps = new WeakMap<object, string>();

/** The operator in which an error was thrown. */
export function stepOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? steps.get(error) : undefined;
}

function inStep(node: GraphNode, work: () => void): void {
  try {
    work();
  } catch (error) {
    remember(node, error);
    throw error;
  }
}

// The innermost catches first.
function remember({ id }: GraphNode, error: unknown): void {
  if (typeof error !== 'object' || error === null || error instanceof Miss) return;
  if (!steps.has(error)) steps.set(error, id);
}

function into({ node, operator }: OpenNode, input: number): Emit {
  return (key, value, timeMs) => {
    try {
      operator.accept(input, key, value, timeMs);
    } catch (error) {
      remember(node, error);
      throw error;
    }
  };
}

/** An operator of the same wiring that only names state; undefined where nothing behind it has any. */
function probeOf(
  node: GraphNode,
  stage: Stage,
  operator: Operator,
  probes: ReadonlyMap<GraphNode, Operator>,
): Operator | undefined {
  if (operator.probe !== undefined) {
    const probe = operator.probe.bind(operator);
    return { accept: probe };
  }
  const emitters = new Map<string, Emit>();
  const ports = new Set(stage.nodes.flatMap(({ inputs }) => inputs.map(({ port }) => port)));
  for (const port of ports) {
    const takers = takersOf(stage, node, port).flatMap(({ taker, input }) => {
      const probe = probes.get(taker);
      return probe === undefined ? [] : [{ probe, input }];
    });
    if (takers.length === 0) continue;
    emitters.set(port, (key, value, timeMs) => {
      for (const { probe, input } of takers) probe.accept(input, key, value, timeMs);
    });
  }
  if (emitters.size === 0 || node.isStateful) return undefined;
  return node.open({
    emit: (port = '') => emitters.get(port),
    state: NO_STATE,
    watermarkMs: () => -Infinity,
    serve: () => undefined,
    put: () => undefined,
    countLate: () => undefined,
  });
}

const NO_STATE = {
  get: () => undefined,
  set: () => undefined,
  entries: () => [],
  want: () => undefined,
};
