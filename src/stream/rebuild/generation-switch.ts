import type { RebuildPhase } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import type { Processor } from '../processor.ts';
import { Forwarder } from '../tasks/forwarder.ts';
import type { Compiled } from '../topology/compile.ts';
import { CatchUp, type Input } from './catch-up.ts';
import { taskName } from './generation.ts';
import { moveState, type StoredState, storedTasks } from './generation-state.ts';
import { fence } from './generation-store.ts';
import type { RebuildRequest } from './rebuild-requests.ts';
import { moveServed, removeShadows, removeUnserved, type ServedCommit } from './served-switch.ts';

const LOOK_EVERY_MS = 20;

/**
 * Has a generation take the place of the one that is served, in steps that may be cut short anywhere,
 * and be taken by several workers at once: each move of the state is made by one of them.
 */
export class GenerationSwitch {
  readonly #log: EventLog;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #deadLetterTopic: string;
  readonly #code: Processor | Compiled;
  readonly #oldCode: Processor | Compiled;
  readonly #request: RebuildRequest;
  readonly #rebuilt: CatchUp;
  #overtaken: CatchUp | undefined;

  constructor(options: {
    log: EventLog;
    store: Store;
    clock: Clock;
    name: string;
    deadLetterTopic: string;
    code: Processor | Compiled;
    oldCode: Processor | Compiled;
    request: RebuildRequest;
  }) {
    this.#log = options.log;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#name = options.name;
    this.#deadLetterTopic = options.deadLetterTopic;
    this.#code = options.code;
    this.#oldCode = options.oldCode;
    this.#request = options.request;
    this.#rebuilt = this.#catchUp();
  }

  get generation(): number {
    return this.#request.generation;
  }

  /** How much of the records is worked through. */
  get share(): number {
    return this.#rebuilt.share;
  }

  /**
   * Does what can be done now, and returns whether that was a step; `mayStop`: the generation that
   * is served may stop. Rejects with `commit_conflict` when another worker was faster.
   */
  async advance(
    stored: StoredState,
    { mayStop }: Readonly<{ mayStop: boolean }>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { state } = stored;
    const { phase } = state.rebuild ?? {};
    if (phase === 'rebuilding') {
      if (!(await this.#rebuilt.look(signal)) || !mayStop) return false;
      await this.#enter(stored, 'overtaking');
    } else if (phase === 'overtaking') {
      await this.#fenceAll(state.current, this.#oldCode);
      this.#overtaken ??= this.#catchUp(state.current);
      if (!(await this.#overtaken.look(signal)) || !mayStop) return false;
      await this.#enter(stored, 'removing');
    } else if (phase === 'removing') {
      await this.#fenceAll(this.generation, this.#code);
      const prefixes = new Set([...prefixesOf(this.#code), ...(state.prefixes ?? [])]);
      await this.#serving(stored, 'moving', (commit) =>
        removeUnserved(this.#store, { ...this.#facts, prefixes }, commit),
      );
    } else if (phase === 'moving') {
      await this.#serving(stored, 'finishing', (commit) =>
        moveServed(this.#store, this.#facts, commit),
      );
    } else if (phase === 'finishing') {
      await this.#dropOthers(state.current, signal);
      if (signal.aborted) return false;
      await this.#serving(stored, undefined, (commit) =>
        removeShadows(this.#store, this.#name, commit),
      );
    }
    return true;
  }

  get #facts(): { processor: string; generation: number } {
    return { processor: this.#name, generation: this.generation };
  }

  #catchUp(old?: number): CatchUp {
    const { from } = this.#request;
    return new CatchUp({
      log: this.#log,
      store: this.#store,
      ...this.#facts,
      inputs: inputsOf(this.#code),
      from,
      ...(old !== undefined && {
        endOf: async ({ topic, partition }) => {
          const id = `${topic}-${partition}`;
          return (await this.#store.offsets(taskName(this.#name, old, id)))[id] ?? 0;
        },
      }),
    });
  }

  #enter(stored: StoredState, phase: RebuildPhase | undefined): Promise<StoredState> {
    const rebuild = { generation: this.generation, phase: phase ?? 'rebuilding' };
    const state =
      phase === undefined
        ? { current: this.generation, prefixes: prefixesOf(this.#code) }
        : { ...stored.state, rebuild };
    return moveState(this.#store, this.#name, stored, { state });
  }

  /** Writes served keys, each commit a move, and enters the next phase. */
  async #serving(
    stored: StoredState,
    next: RebuildPhase | undefined,
    work: (commit: ServedCommit) => Promise<void>,
  ): Promise<void> {
    let last = stored;
    await work(async (served) => {
      last = await moveState(this.#store, this.#name, last, { state: last.state, served });
    });
    await this.#enter(last, next);
  }

  /** None of its tasks commits any more what it has begun. */
  async #fenceAll(generation: number, code: Processor | Compiled): Promise<void> {
    const topics = new Set(inputsOf(code).map(({ topic }) => topic));
    const tasks = new Set<string>();
    for (const { name, partitions } of await this.#log.topics()) {
      if (!topics.has(name)) continue;
      for (let partition = 0; partition < partitions; partition += 1)
        tasks.add(taskName(this.#name, generation, `${name}-${partition}`));
    }
    for (const stored of await storedTasks(this.#store, this.#name))
      if (stored.generation === generation) tasks.add(stored.task);
    for (const task of tasks) await fence(this.#store, task, this.generation);
  }

  /** What the old generation has put out comes to the log before it is forgotten. */
  async #dropOthers(old: number, signal: AbortSignal): Promise<void> {
    for (const { task, generation } of await storedTasks(this.#store, this.#name)) {
      if (generation === this.generation) continue;
      if (generation === old) await this.#forwardAll(task, signal);
      if (signal.aborted) return;
      await this.#store.dropTask(task);
    }
  }

  async #forwardAll(task: string, signal: AbortSignal): Promise<void> {
    const hasMore = async (): Promise<boolean> => (await this.#store.outgoing(task, 1)).length > 0;
    if (!(await hasMore())) return;
    const forwarder = new Forwarder({
      log: this.#log,
      store: this.#store,
      task,
      deadLetterTopic: this.#deadLetterTopic,
    });
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    let isFailed = false;
    const running = forwarder.run(either).catch((error: unknown) => {
      isFailed = true;
      throw error;
    });
    running.catch(() => undefined);
    while (!isFailed && !signal.aborted && (await hasMore()))
      await this.#clock.sleep(LOOK_EVERY_MS, either);
    stop.abort();
    await running;
  }
}

function inputsOf(code: Processor | Compiled): readonly Input[] {
  if ('stages' in code) return code.stages;
  return code.topics.map((topic) => ({ topic, upstream: [] }));
}

/** What served keys begin with that it alone writes. */
export function prefixesOf(code: Processor | Compiled): readonly string[] {
  if ('stages' in code) return code.topology.nodes.flatMap(({ serves }) => serves?.prefix ?? []);
  return code.serves ?? [];
}
