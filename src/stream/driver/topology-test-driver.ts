import type { TableRef } from '../../domain/table.ts';
import type { Header, LogRecord } from '../../domain/record-block.ts';
import { murmur2 } from '../../lib/murmur2.ts';
import { Miss, ObjectState } from '../stage/object-state.ts';
import { prefixOf, StageRun } from '../stage/stage-run.ts';
import { compile, type Compiled, type Stage } from '../topology/compile.ts';
import type { Topology } from '../topology/topology.ts';
import { keptValue } from './kept-value.ts';
import { ServedKeys } from './served-keys.ts';

/** A record that a topology has put out. */
export type ReadRecord = Readonly<{
  key: string | null;
  value: unknown;
  timestampMs: number;
  /** By name, where it has any. */
  headers?: Readonly<Record<string, string>>;
}>;

type At = Readonly<{ atMs?: number }>;

type Task = Readonly<{ stage: Stage; partition: number; state: ObjectState; run: StageRun }>;

/**
 * Runs a topology without servers, clocks or threads: changes go in, and what comes of them is
 * there when the call returns. A function of the topology that throws makes the call throw; so does
 * one that changes its state in place, where it should return a new value.
 *
 * ```ts
 * const driver = new TopologyTestDriver(realtime);
 * driver.insert(orders, { id: 1, total_amount: '9.99' }, { atMs: 1_000 });
 * driver.advanceTime(70_000);
 * assert.deepEqual(driver.read('per-minute'), [{ key: 'all', value: 1, timestampMs: 59_999 }]);
 * ```
 */
export class TopologyTestDriver {
  readonly #compiled: Compiled;
  readonly #partitions: number;
  readonly #tasks: readonly Task[];
  readonly #served = new ServedKeys();
  readonly #topics = new Map<string, LogRecord[]>();
  readonly #offsets = new Map<string, number>();
  /** Put out by stages for stages, not yet worked on. */
  readonly #waiting: { task: Task; record: LogRecord }[] = [];
  /** Effects of the element at hand: they happen once it has succeeded. */
  #effects: (() => void)[] = [];
  #timeMs = 0;
  #late = 0;

  /** `partitions`: of every topic that it reads. */
  constructor(topology: Topology, { partitions = 1 }: Readonly<{ partitions?: number }> = {}) {
    this.#partitions = partitions;
    this.#compiled = compile(topology, () => partitions);
    this.#tasks = this.#compiled.stages.flatMap((stage) =>
      Array.from({ length: this.#partitionsOf(stage.topic) }, (_, partition) =>
        this.#open(stage, partition),
      ),
    );
  }

  /** The latest event time given. */
  get timeMs(): number {
    return this.#timeMs;
  }

  /** Elements that came too late for their window. */
  get late(): number {
    return this.#late;
  }

  insert<K, R>(table: TableRef<K, R>, row: R, at: At = {}): void {
    this.#change(table, 'c', undefined, row, at);
  }

  update<K, R>(table: TableRef<K, R>, before: R, after: R, at: At = {}): void {
    this.#change(table, 'u', before, after, at);
  }

  delete<K, R>(table: TableRef<K, R>, row: R, at: At = {}): void {
    this.#change(table, 'd', row, undefined, at);
  }

  /** A row as the first copy reads it. */
  copy<K, R>(table: TableRef<K, R>, row: R, at: At = {}): void {
    this.#change(table, 'r', undefined, row, at);
  }

  truncate<K, R>(table: TableRef<K, R>, at: At = {}): void {
    this.#change(table, 't', undefined, undefined, at);
  }

  /** A record of a topic that is no table's. */
  pipe(
    topic: string,
    record: Readonly<{ key?: string | null; value: unknown; timestampMs?: number }>,
  ): void {
    const { key = null, value, timestampMs } = record;
    this.#take(topic, key, value === null ? null : JSON.stringify(value), this.#at(timestampMs));
  }

  /** Event time has come to `toMs`, though no record told so: windows close, timers fire. */
  advanceTime(toMs: number): void {
    this.#timeMs = Math.max(this.#timeMs, toMs);
    for (const stage of this.#compiled.stages) {
      for (const task of this.#tasks) {
        if (task.stage !== stage) continue;
        task.run.pass(toMs);
        this.#fireDue(task);
        this.#kept(task, () => task.run.tellTime());
      }
      this.#workThrough();
    }
  }

  /** What was written to a topic since the last call, each partition's records in their order. */
  read(topic: string): ReadRecord[] {
    const records = this.#topics.get(topic) ?? [];
    this.#topics.delete(topic);
    return records.map(({ key, value, timestampMs, headers }) => ({
      key: key === null ? null : Buffer.from(key).toString(),
      value: value === null ? null : (JSON.parse(Buffer.from(value).toString()) as unknown),
      timestampMs,
      ...(headers.length > 0 && { headers: Object.fromEntries(headers) }),
    }));
  }

  /** The value of a served key, if it has not expired by now; members of a set as an array. */
  served(key: string): unknown {
    const found = this.#served.get(key, this.#timeMs);
    return typeof found === 'string' ? (JSON.parse(found) as unknown) : found;
  }

  servedKeys(prefix: string): string[] {
    return this.#served.keys(prefix, this.#timeMs);
  }

  /** The state of an operator, by the text of its keys. */
  state(operator: string): ReadonlyMap<string, unknown> {
    const prefix = prefixOf({ id: operator });
    const found = new Map<string, unknown>();
    for (const { state } of this.#tasks) {
      state.filledRange(prefix);
      for (const [key, value] of state.entries(prefix)) found.set(key.slice(prefix.length), value);
    }
    return found;
  }

  #change<K, R>(
    { topic, key }: TableRef<K, R>,
    op: string,
    before: R | undefined,
    after: R | undefined,
    { atMs }: At,
  ): void {
    const timestampMs = this.#at(atMs);
    const row = (after ?? before) as Record<string, unknown> | undefined;
    const parts = key.map((column) => [column, row?.[column] ?? null]);
    const keyText =
      row === undefined || key.length === 0 ? null : JSON.stringify(Object.fromEntries(parts));
    const table = topic.split('.').at(-1) ?? topic;
    const schema = topic.split('.').at(-2) ?? '';
    const snapshot = op === 'r' ? 'true' : 'false';
    const source = { schema, table, ts_ms: timestampMs, txId: null, lsn: null, snapshot };
    const event = { op, before: before ?? null, after: after ?? null, source };
    if (op === 't') {
      for (let at = 0; at < this.#partitions; at += 1)
        this.#take(topic, null, JSON.stringify(event), timestampMs, at);
    } else this.#take(topic, keyText, JSON.stringify(event), timestampMs);
  }

  #at(atMs: number | undefined): number {
    const timestampMs = atMs ?? this.#timeMs;
    this.#timeMs = Math.max(this.#timeMs, timestampMs);
    return timestampMs;
  }

  #take(
    topic: string,
    key: string | null,
    value: string | null,
    timestampMs: number,
    asked?: number,
  ): void {
    if (!this.#compiled.stages.some((stage) => stage.topic === topic))
      throw new Error(`topology ${this.#compiled.topology.name} does not read ${topic}`);
    this.#put(topic, asked, key, value, timestampMs, []);
    this.#workThrough();
  }

  #workThrough(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { task, record } = next;
      const { run, partition } = task;
      const item = run.decode(record, partition);
      if (item === undefined) continue;
      run.probe(item);
      run.observe(item);
      this.#fireDue(task);
      this.#kept(task, () => run.process(item));
      this.#kept(task, () => run.tellTime());
    }
  }

  #fireDue(task: Task): void {
    for (let [due] = task.run.due(1); due !== undefined; [due] = task.run.due(1)) {
      const key = due;
      this.#kept(task, () => task.run.fire(key));
    }
  }

  /** There is no store: what is not at hand is not there. */
  #kept({ state }: Task, work: () => void): void {
    for (;;) {
      this.#effects = [];
      try {
        work();
        state.keep();
        for (const effect of this.#effects) effect();
        return;
      } catch (error) {
        state.undo();
        if (!(error instanceof Miss)) throw error;
        if (error.isPrefix) state.filledRange(error.key);
        else state.fill(error.key, undefined);
      }
    }
  }

  #put(
    topic: string,
    asked: number | undefined,
    key: string | null,
    value: string | null,
    timestampMs: number,
    headers: readonly Header[],
  ): void {
    const count = this.#partitionsOf(topic);
    const partition =
      asked ?? (key === null ? 0 : (murmur2(Buffer.from(key)) & 0x7fffffff) % count);
    const id = `${topic}-${partition}`;
    const offset = this.#offsets.get(id) ?? 0;
    this.#offsets.set(id, offset + 1);
    const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
    const record = { offset, timestampMs, key: bytes(key), value: bytes(value), headers };
    const task = this.#tasks.find(
      (each) => each.stage.topic === topic && each.partition === partition,
    );
    if (task === undefined) this.#topics.set(topic, [...(this.#topics.get(topic) ?? []), record]);
    else this.#waiting.push({ task, record });
  }

  #partitionsOf(topic: string): number {
    const declared = this.#compiled.declares.find(({ name }) => name === topic);
    return declared?.partitions ?? this.#partitions;
  }

  #open(stage: Stage, partition: number): Task {
    const state = new ObjectState(Infinity, keptValue);
    const run = new StageRun({
      compiled: this.#compiled,
      stage,
      partition,
      partitionsOf: (topic) => this.#partitionsOf(topic),
      state,
      outputs: {
        serve: (write) => void this.#effects.push(() => this.#served.write(write)),
        put: (topic, to, key, value, timeMs, headers = []) =>
          void this.#effects.push(() => this.#put(topic, to, key, value, timeMs, headers)),
        countLate: () => void this.#effects.push(() => (this.#late += 1)),
      },
    });
    return { stage, partition, state, run };
  }
}
