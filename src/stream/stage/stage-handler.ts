import { MillraceError } from '../../domain/errors.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import type { StateWrite, Store } from '../../ports/store.ts';
import { deadLetter } from '../tasks/dead-letters.ts';
import { processorStopped } from '../tasks/error-policy.ts';
import { type Failure, failureOf, type FailureStage } from '../tasks/failure.ts';
import type {
  HandlerParts,
  HandlerTimer,
  Prepared,
  RecordHandler,
} from '../tasks/record-handler.ts';
import { RESERVED } from '../tasks/state-overlay.ts';
import type { Compiled, Stage } from '../topology/compile.ts';
import type { Item } from './item.ts';
import { Miss, ObjectState } from './object-state.ts';
import { prefixOf, StageRun, stepOf } from './stage-run.ts';
import type { KeptTime } from './stream-time.ts';

const TIME = `${RESERVED}time`;
/** State key of the hash of the topology that made the state. */
export const TOPOLOGY = `${RESERVED}topology`;
/** So much that is due together has its state fetched together. */
const DUE_AT_ONCE = 1000;

/** What effects come after: the record at this offset, and so many of its task's ticks. */
type Since = Readonly<{ offset: number; tick: number }>;

/** What a task waits for, as of its last commit: see `HandlerTimer.nextMs`. */
export async function storedWaitMs(store: Store, task: string): Promise<number | undefined> {
  const [time] = await store.getMany(task, [TIME]);
  return time === undefined ? undefined : (JSON.parse(time) as KeptTime).waitsForMs;
}

/** Runs one stage of a topology in one task. */
export class StageHandler implements RecordHandler {
  readonly timer?: HandlerTimer;
  readonly #compiled: Compiled;
  readonly #stage: Stage;
  readonly #parts: HandlerParts;
  readonly #state: ObjectState;
  readonly #run: StageRun;
  #late = 0;
  /** Of what is at hand. */
  #lateNow = 0;
  #isNew = false;

  constructor(compiled: Compiled, stage: Stage, parts: HandlerParts) {
    const { partition, partitionsOf, cacheEntries, effects } = parts;
    this.#compiled = compiled;
    this.#stage = stage;
    this.#parts = parts;
    this.#state = new ObjectState(cacheEntries);
    this.#run = new StageRun({
      compiled,
      stage,
      partition: partition.partition,
      partitionsOf,
      state: this.#state,
      outputs: {
        serve: (write) => effects.serve(write),
        put: (...record) => effects.put(...record),
        countLate: () => {
          this.#lateNow += 1;
        },
      },
    });
    if (compiled.isTimed) {
      this.timer = {
        nextMs: () => this.#run.nextMs(),
        reachedMs: () => this.#run.reachedMs(),
        advance: (timeMs, { after, number }) =>
          this.#advance(timeMs, { offset: after - 1, tick: number }),
      };
    }
  }

  /** Elements that came too late for their window, since the task was made. */
  get late(): number {
    return this.#late;
  }

  async load(): Promise<void> {
    const { store, task } = this.#parts;
    this.#state.reset();
    const [time, hash] = await store.getMany(task, [TIME, TOPOLOGY]);
    const { topology, hash: expected } = this.#compiled;
    if (hash !== undefined && hash !== expected) {
      const { name, version } = topology;
      throw new MillraceError('topology_changed', { processor: name, version, task });
    }
    this.#isNew = hash === undefined;
    this.#run.reset(time === undefined ? undefined : (JSON.parse(time) as KeptTime));
    for (const node of this.#stage.nodes) {
      if (!node.isTimed) continue;
      for await (const [key, value] of store.range(task, prefixOf(node))) {
        this.#run.restore(key, () => JSON.parse(value));
      }
    }
  }

  async prepare(records: readonly LogRecord[]): Promise<readonly Prepared<Item>[]> {
    const prepared = records.map((record) => this.#prepared(record));
    if (this.#run.isStateful) {
      for (const { item } of prepared) if (item !== undefined) this.#run.probe(item);
      await this.#fetchWanted();
    }
    return prepared;
  }

  attempt(prepared: Prepared<Item>): Failure | undefined | Promise<Failure | undefined> {
    const { failure, item, record } = prepared;
    if (failure !== undefined || item === undefined) return failure;
    try {
      return this.#process(item, record);
    } catch (error) {
      if (!(error instanceof Miss)) throw error;
      return this.#fetch(error).then(() => this.attempt(prepared));
    }
  }

  seal(): readonly StateWrite[] {
    const writes = this.#state.seal();
    const time = this.#run.time.take(this.#run.nextMs());
    if (time !== undefined) writes.push([TIME, JSON.stringify(time)]);
    if (this.#isNew) writes.push([TOPOLOGY, this.#compiled.hash]);
    this.#isNew = false;
    return writes;
  }

  committed(): void {
    this.#state.committed();
  }

  #prepared(record: LogRecord): Prepared<Item> {
    try {
      const item = this.#run.decode(record, this.#parts.partition.partition);
      const does = item === undefined ? 'nothing' : item.isTruncate ? 'truncate' : 'change';
      return { record, does, item, failure: undefined };
    } catch (error) {
      return { record, does: 'change', item: undefined, failure: failureOf('decode', error) };
    }
  }

  /** May be called again after a Miss: what was done is kept, the rest is not. */
  #process(item: Item, record: LogRecord): Failure | undefined {
    this.#run.observe(item);
    if (this.#compiled.isTimed) this.#fireDue({ offset: record.offset, tick: 0 });
    this.#begin(record.offset, 0);
    try {
      this.#run.process(item);
    } catch (error) {
      return this.#undone(error);
    }
    // What was told on its own is told on, or time would stop here.
    this.#run.tellTime(item.isTimeOnly ? 0 : undefined);
    this.#keep();
    return undefined;
  }

  async #advance(timeMs: number, since: Since): Promise<void> {
    this.#run.pass(timeMs);
    for (;;) {
      try {
        this.#fireDue(since);
        break;
      } catch (error) {
        if (!(error instanceof Miss)) throw error;
        await this.#fetch(error);
      }
    }
    this.#begin(since.offset, since.tick);
    this.#run.tellTime(0);
    this.#keep();
  }

  #fireDue(since: Since): void {
    for (let [due] = this.#run.due(1); due !== undefined; [due] = this.#run.due(1)) {
      this.#begin(since.offset, since.tick);
      try {
        this.#run.fire(due);
      } catch (error) {
        const failure = this.#undone(error, 'timer');
        this.#giveUp(due, since, failure);
      }
      this.#keep();
    }
  }

  /** What is due can't be done: it would fail again with each record that comes. */
  #giveUp(due: string, since: Since, failure: Failure): void {
    const { effects, deadLetterTopic, partition, task } = this.#parts;
    const { name: processor, onError } = this.#compiled.topology;
    if (onError?.giveUp === 'stop')
      throw processorStopped({ processor, task, offset: since.offset }, failure);
    const value = this.#run.drop(due);
    const record: LogRecord = {
      offset: since.offset,
      timestampMs: this.#run.time.watermarkMs,
      key: Buffer.from(due),
      value: Buffer.from(JSON.stringify(value ?? null)),
      headers: [],
    };
    const from = { ...partition, processor, task };
    const letter = deadLetter(record, failure, from);
    effects.putDeadLetter(letter, deadLetterTopic, { ...since, ...partition });
  }

  #begin(offset: number, tick: number): void {
    const { partition } = this.#parts.partition;
    this.#parts.effects.begin({ offset, partition, tick });
  }

  // A user's function may have caught it; what it then did stands on what did not happen.
  #keep(): void {
    const { fault } = this.#parts.effects;
    if (fault !== undefined) throw fault.error;
    this.#parts.effects.keep();
    this.#state.keep();
    this.#late += this.#lateNow;
    this.#lateNow = 0;
  }

  #undone(error: unknown, stage: FailureStage = 'process'): Failure {
    const { fault } = this.#parts.effects;
    if (fault !== undefined) throw fault.error;
    this.#parts.effects.undo();
    this.#state.undo();
    this.#lateNow = 0;
    if (error instanceof Miss) throw error;
    const step = stepOf(error);
    return { ...failureOf(stage, error), ...(step !== undefined && { step }) };
  }

  async #fetch({ key, isPrefix }: Miss): Promise<void> {
    if (isPrefix) {
      const { store, task } = this.#parts;
      this.#state.beginRange();
      for await (const [each, value] of store.range(task, key)) this.#state.fill(each, value);
      this.#state.filledRange(key);
      return;
    }
    this.#state.want(key);
    this.#run.wantDue(DUE_AT_ONCE);
    await this.#fetchWanted();
  }

  async #fetchWanted(): Promise<void> {
    const wanted = this.#state.takeWanted();
    if (wanted.length === 0) return;
    const { store, task } = this.#parts;
    const values = await store.getMany(task, wanted);
    for (const [at, key] of wanted.entries()) this.#state.fill(key, values[at]);
  }
}
