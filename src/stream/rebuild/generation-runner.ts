import { MillraceError } from '../../domain/errors.ts';
import type { ProcessorStatus } from '../../domain/status.ts';
import { runTogether } from '../../lib/run-together.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { Processor } from '../processor.ts';
import { ownTopics, refuseOtherTopology } from '../stage/topology-subject.ts';
import { TaskRunner, type TaskRunnerOptions } from '../tasks/task-runner.ts';
import type { Compiled } from '../topology/compile.ts';
import { FIRST } from './generation.ts';
import {
  type GenerationState,
  isConflict,
  loadState,
  moveState,
  type StoredState,
  storedTasks,
} from './generation-state.ts';
import { GenerationStore, mayWork } from './generation-store.ts';
import { GenerationSwitch, prefixesOf } from './generation-switch.ts';
import { followRequests, lastRequest, type RebuildRequest } from './rebuild-requests.ts';

/** So often it is looked how far a rebuild has come. */
const LOOK_EVERY_MS = 200;

export type GenerationRunnerOptions = Omit<TaskRunnerOptions, 'processor' | 'generation'> &
  Readonly<{
    name: string;
    /** What runs as a generation: the code of now. */
    processorOf: (generation: number) => Processor | Compiled;
    /** Where rebuilds are asked for. */
    requestTopic: string;
  }>;

type Working = {
  readonly runner: TaskRunner;
  readonly isRebuild: boolean;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  failure: { readonly error: unknown } | undefined;
};

/**
 * Runs one processor, and builds its results anew beside the old ones when an operator asks for it:
 * a second generation of tasks takes the records from where it was asked to, and serves under keys
 * that nobody is shown. Once it is where the first is, it takes its place, a key at a time.
 *
 * How far that is stands in the store, so that it goes on wherever whatever died, and any number
 * of workers may run the same processor. Where the first generation's topology is no longer
 * there, it stands still, and what it has served stays.
 */
export class GenerationRunner {
  readonly #options: GenerationRunnerOptions;
  readonly #wakeup = new Wakeup();
  /** By generation. */
  readonly #working = new Map<number, Working>();
  /** Generations that can't go on with the code of now, while another is built. */
  readonly #standing = new Set<number>();
  #asked: RebuildRequest | undefined;
  #switch: GenerationSwitch | undefined;
  #shown: TaskRunner;
  #recordsBefore = 0;
  #state: GenerationState = { current: FIRST };
  #isRunning = false;
  #failure: string | undefined;

  constructor(options: GenerationRunnerOptions) {
    this.#options = options;
    this.#shown = this.#runnerOf(FIRST, options.store);
  }

  /** Ends when `signal` aborts. Throws as a TaskRunner does; may be run again. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, requestTopic, name } = this.#options;
    this.#failure = undefined;
    this.#isRunning = true;
    this.#standing.clear();
    try {
      const { request, next } = await lastRequest(log, requestTopic, name);
      this.#asked = request;
      await runTogether(signal, [
        (either) => this.#followRequests(next, either),
        (either) => this.#arrangeGenerations(either),
      ]);
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error);
      this.#options.onChange?.();
      throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  /** Of the generation that is served; of the one that is built, where that alone works. */
  async status(): Promise<ProcessorStatus> {
    const { hold, ...told } = await this.#shown.status();
    const { rebuild } = this.#state;
    const isServed = rebuild === undefined || rebuild.phase === 'rebuilding';
    const working = [...this.#working.values()].map(({ runner }) => runner.status());
    const counts = (await Promise.all(working)).map(({ records }) => records);
    return {
      ...told,
      // In between, none of them may be at work.
      ...(!isServed && this.#isRunning && { state: 'running' as const }),
      records: counts.reduce((sum, records) => sum + records, this.#recordsBefore),
      // What is compared with what is served must be what is served.
      ...(hold !== undefined && isServed && { hold }),
      ...(this.#failure !== undefined && { state: 'failed' as const, problem: this.#failure }),
      ...(rebuild !== undefined && {
        rebuild: { ...rebuild, share: this.#switch?.share ?? 0 },
      }),
    };
  }

  async #followRequests(offset: number, signal: AbortSignal): Promise<void> {
    const { log, requestTopic: topic, name: processor } = this.#options;
    for await (const request of followRequests(log, { topic, processor, offset }, signal)) {
      this.#asked = request;
      this.#wakeup.raise();
    }
  }

  async #arrangeGenerations(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    try {
      while (!signal.aborted) {
        const stored = await this.#loadState();
        this.#state = stored.state;
        await this.#arrange(stored.state, signal);
        if (stored.state.rebuild === undefined) {
          await this.#wakeup.wait(signal);
        } else {
          if (!(await this.#advance(stored, signal))) await clock.sleep(LOOK_EVERY_MS, signal);
        }
        await this.#settleEnded(stored.state);
      }
    } finally {
      await this.#end([...this.#working.keys()]);
    }
  }

  /** With what was asked for taken up. */
  async #loadState(): Promise<StoredState> {
    const { store, name } = this.#options;
    const stored = await loadState(store, name);
    const { current, rebuild } = stored.state;
    const asked = this.#asked;
    if (asked === undefined || asked.generation <= (rebuild?.generation ?? current)) return stored;
    // What has begun to take its place takes it, before another one does.
    if (rebuild !== undefined && !mayWork(stored.state, { ...rebuild, isRebuild: true }))
      return stored;
    const { generation } = asked;
    const hasResults = (await storedTasks(store, name)).length > 0;
    const state: GenerationState = hasResults
      ? { ...stored.state, rebuild: { generation, phase: 'rebuilding' } }
      : // In a new store, or one that has lost everything, there is nothing to stand beside.
        { current: generation };
    try {
      return await moveState(store, name, stored, { state });
    } catch (error) {
      if (!isConflict(error)) throw error;
      return this.#loadState();
    }
  }

  /** Has the generations work that may. */
  async #arrange(state: GenerationState, signal: AbortSignal): Promise<void> {
    const over = [...this.#working].filter(
      ([generation, { isRebuild }]) => !mayWork(state, { generation, isRebuild }),
    );
    await this.#end(over.map(([generation]) => generation));
    const { current, rebuild } = state;
    if (rebuild === undefined) this.#standing.clear();
    if (mayWork(state, { generation: current, isRebuild: false }))
      await this.#start(current, false, signal);
    const isKnown = rebuild !== undefined && this.#asked?.generation === rebuild.generation;
    if (isKnown && mayWork(state, { ...rebuild, isRebuild: true }))
      await this.#start(rebuild.generation, true, signal);
    const shown = this.#working.get(current) ?? [...this.#working.values()][0];
    if (shown !== undefined) this.#shown = shown.runner;
  }

  async #start(generation: number, isRebuild: boolean, signal: AbortSignal): Promise<void> {
    if (this.#working.has(generation) || this.#standing.has(generation) || signal.aborted) return;
    const { name: processor, log, store: plain, processorOf } = this.#options;
    const code = processorOf(generation);
    const from = await this.#startOf(generation);
    const prefixes = prefixesOf(code);
    const role = { processor, generation, isRebuild, from, prefixes };
    const store = new GenerationStore(plain, role);
    const runner = this.#runnerOf(generation, store);
    const stop = new AbortController();
    const run = async (): Promise<void> => {
      if ('stages' in code) {
        await refuseOtherTopology(plain, code);
        // Those of the first are made with all others, before anything runs.
        if (generation !== FIRST) await log.createTopics(ownTopics(code));
      }
      await runner.run(AbortSignal.any([signal, stop.signal]));
    };
    const working: Working = {
      runner,
      isRebuild,
      stop,
      failure: undefined,
      ended: run().catch((error: unknown) => {
        working.failure = { error };
        this.#wakeup.raise();
      }),
    };
    this.#working.set(generation, working);
  }

  /** What the log no longer has is missing history, as it is to a task without a start of its own. */
  async #startOf(generation: number): Promise<Readonly<Record<string, number>>> {
    if (this.#asked?.generation !== generation) return {};
    const starts = Object.entries(this.#asked.from).map(async ([id, offset]) => {
      const dash = id.lastIndexOf('-');
      const partition = { topic: id.slice(0, dash), partition: Number(id.slice(dash + 1)) };
      const { start } = await this.#options.log.offsets(partition);
      return offset >= start ? [[id, offset] as const] : [];
    });
    return Object.fromEntries((await Promise.all(starts)).flat());
  }

  async #end(generations: readonly number[]): Promise<void> {
    for (const generation of generations) this.#working.get(generation)?.stop.abort();
    for (const generation of generations) {
      const working = this.#working.get(generation);
      await working?.ended;
      await this.#forget(generation);
    }
  }

  async #forget(generation: number): Promise<void> {
    const told = await this.#working.get(generation)?.runner.status();
    this.#working.delete(generation);
    this.#recordsBefore += told?.records ?? 0;
  }

  /** Of those that failed: what another may go on without. Throws what is none's to mend. */
  async #settleEnded({ current, rebuild }: GenerationState): Promise<void> {
    for (const [generation, { failure }] of this.#working) {
      if (failure === undefined) continue;
      await this.#forget(generation);
      const code = failure.error instanceof MillraceError ? failure.error.code : undefined;
      const isGone = code === 'topology_changed' && generation === current;
      if (isGone && rebuild !== undefined) this.#standing.add(generation);
      else if (code !== 'generation_ended') throw failure.error;
    }
  }

  /** Whether a step was made. */
  async #advance(stored: StoredState, signal: AbortSignal): Promise<boolean> {
    const { rebuild } = stored.state;
    const asked = this.#asked;
    if (rebuild === undefined || asked?.generation !== rebuild.generation) return false;
    if (this.#switch?.generation !== rebuild.generation)
      this.#switch = new GenerationSwitch({
        ...this.#options,
        code: this.#options.processorOf(rebuild.generation),
        oldCode: this.#options.processorOf(stored.state.current),
        request: asked,
      });
    // What is held still is compared with its source.
    const isHeld = [...this.#working.values()].some(({ runner }) => runner.isHeld);
    try {
      const isStep = await this.#switch.advance(stored, { mayStop: !isHeld }, signal);
      if (isStep) this.#options.onChange?.();
      return isStep;
    } catch (error) {
      // Another worker is doing the same.
      if (!isConflict(error)) throw error;
      return false;
    }
  }

  #runnerOf(generation: number, store: GenerationRunnerOptions['store']): TaskRunner {
    const { name: _, processorOf, requestTopic: __, ...options } = this.#options;
    return new TaskRunner({ ...options, store, generation, processor: processorOf(generation) });
  }
}
