import type { ProcessorState, ProcessorStatus } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import { runTogether } from '../../lib/run-together.ts';
import { untilAborted } from '../../lib/until-aborted.ts';
import { Wakeup } from '../../lib/wakeup.ts';
import type { Assignment, EventLog, TopicPartition } from '../../ports/event-log.ts';
import type { Store } from '../../ports/store.ts';
import { followCommands, type ProcessorCommand } from './command-follower.ts';
import { Holds } from './holds.ts';
import { FIRST, generationName, taskName } from '../rebuild/generation.ts';
import { Partitioner } from './partitioner.ts';
import type { Processor } from '../processor.ts';
import { type SinkProcessor, sinkSubject } from '../sinks/sink-handler.ts';
import { topologySubject } from '../stage/topology-subject.ts';
import type { Compiled } from '../topology/compile.ts';
import type { TaskSubject } from './record-handler.ts';
import { processorSubject } from './record-processor.ts';
import { Waits } from './waits.ts';
import { Task, type TaskLimits } from './task.ts';

const TASK_LIMITS: TaskLimits = {
  maxRecords: 500,
  maxBytes: 1_048_576,
  cacheEntries: 10_000,
};

/** A task that has nothing to commit would not learn that the store lost what it had. */
const VERIFY_INTERVAL_MS = 5000;
/** Tasks of a topic that find their history missing within this time have met the same loss. */
const SAME_LOSS_MS = 60_000;

/** So often it is looked whether what waits for time to pass has waited long enough. */
const PASS_INTERVAL_MS = 1000;

export type TaskRunnerOptions = Readonly<{
  processor: Processor | Compiled | SinkProcessor;
  log: EventLog;
  store: Store;
  clock: Clock;
  /** Where operators' commands are. Those from before the run are not obeyed. */
  commandTopic: string;
  deadLetterTopic: string;
  limits?: Partial<TaskLimits>;
  /** Of a processor that is code: whose tasks to run; else the first. */
  generation?: number;
  /**
   * Asks for a fresh copy of the tables behind `topic`: a task of it has no offset stored, because
   * it is new or the store lost everything, and the log no longer reaches back to its first record.
   * The task begins at what is left of the log, and commits nothing before this has resolved, so
   * that a crash has it asked again. Called once for all tasks here that meet the same loss.
   */
  onMissingHistory?: (topic: string, signal: AbortSignal) => Promise<void>;
  /**
   * The event time before which everything of the source is in the log; undefined where that is not
   * known. Without it, only records tell how time passes.
   */
  progress?: (signal: AbortSignal) => Promise<number | undefined>;
  /** Called when the state, the hold reached or the problem has changed. */
  onChange?: () => void;
}>;

type RunningTask = Readonly<{ task: Task; stop: AbortController; ended: Promise<void> }>;

/**
 * Runs one processor: a task for each topic partition that its consumer group assigns here, and
 * what operators ask of them.
 *
 * Every topic must exist: those that the processor reads and writes, of commands and dead letters.
 */
export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  readonly #subject: TaskSubject;
  readonly #tasks = new Map<string, RunningTask>();
  readonly #leases = new Wakeup();
  readonly #askedFor = new Map<string, Readonly<{ atMs: number; asked: Promise<void> }>>();
  #holds = new Holds();
  #state: ProcessorState = 'starting';
  #problem: string | undefined;
  #processedByEnded = 0;
  #lateByEnded = 0;
  #told = '';

  constructor(options: TaskRunnerOptions) {
    this.#options = options;
    const { processor } = options;
    if ('stages' in processor) this.#subject = topologySubject(processor);
    else if ('sink' in processor) this.#subject = sinkSubject(processor, options.log);
    else
      this.#subject = { ...processorSubject(processor), generation: options.generation ?? FIRST };
  }

  /**
   * Ends when `signal` aborts. Throws when the log or the store fails, records it has not read are
   * gone (`offset_out_of_range`), or the processor writes what nobody can store; may be run again.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { log, commandTopic, deadLetterTopic } = this.#options;
    this.#holds = new Holds();
    this.#askedFor.clear();
    this.#forget([...this.#tasks.keys()]);
    this.#enter('starting');
    try {
      const { end } = await log.offsets({ topic: commandTopic, partition: 0 });
      const partitioner = await Partitioner.of(log);
      partitioner.partitionOf(deadLetterTopic, null, 0);
      await runTogether(signal, [
        (either) => this.#obeyCommands(end, either),
        (either) => this.#endLeases(either),
        (either) => this.#verifyTasks(either),
        (either) => this.#passTime(partitioner, either),
        (either) => this.#followAssignments(partitioner, either),
      ]);
      this.#enter('stopped');
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#enter('failed');
      throw error;
    }
  }

  /** An operator has it rest, or come to rest. */
  get isHeld(): boolean {
    return this.#holds.nextExpiryMs() !== undefined;
  }

  /** What the runner does now. The ends are the log's at this moment. */
  async status(): Promise<ProcessorStatus> {
    const { log, clock } = this.#options;
    const { name: processor } = this.#subject;
    const tasks = [...this.#tasks.values()].map(({ task }) => task);
    const partitions = await Promise.all(
      tasks.map(async ({ partition, offset }) => {
        const { start, end } = await log.offsets(partition);
        return { ...partition, offset: offset ?? start, end };
      }),
    );
    const hold = this.#reachedHold();
    return {
      component: `processor:${processor}`,
      name: processor,
      atMs: clock.nowMs(),
      state: this.#currentState(hold),
      records: tasks.reduce((sum, { processed }) => sum + processed, this.#processedByEnded),
      parked: tasks.reduce((sum, { parked }) => sum + parked, 0),
      late: tasks.reduce((sum, { late }) => sum + late, this.#lateByEnded),
      tasks: tasks.map(({ name }, index) => ({
        task: name,
        partitions: partitions.slice(index, index + 1),
      })),
      ...(this.#problem !== undefined && { problem: this.#problem }),
      ...(hold !== undefined && { hold }),
    };
  }

  async #obeyCommands(offset: number, signal: AbortSignal): Promise<void> {
    const { log, commandTopic: topic } = this.#options;
    const commands = followCommands(log, { topic, offset, processor: this.#subject.name }, signal);
    for await (const command of commands) this.#obey(command);
  }

  #obey(command: ProcessorCommand): void {
    switch (command.do) {
      case 'hold':
        // By our clock, from now: the operator's may differ.
        this.#holds.place(command.hold, command.at, this.#options.clock.nowMs() + command.leaseMs);
        return this.#holdsChanged();
      case 'release':
        this.#holds.release(command.hold);
        return this.#holdsChanged();
      case 'dlq-replay':
      case 'dlq-drop': {
        const isDrop = command.do === 'dlq-drop';
        return this.#tasks
          .get(idOf(command))
          ?.task.order({ id: command.id, isDrop, key: command.key });
      }
      case 'dlq-replay-all':
      case 'dlq-drop-all': {
        const isDrop = command.do === 'dlq-drop-all';
        for (const { task } of this.#tasks.values())
          task.order({ id: command.id, isDrop, key: undefined });
      }
    }
  }

  #holdsChanged(): void {
    this.#leases.raise();
    for (const { task } of this.#tasks.values()) task.poke();
    this.#tell();
  }

  async #endLeases(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const nextMs = this.#holds.nextExpiryMs();
      const waited = new AbortController();
      const lease =
        nextMs === undefined
          ? Promise.resolve()
          : clock
              .sleep(nextMs - clock.nowMs(), AbortSignal.any([signal, waited.signal]))
              .then(() => !waited.signal.aborted && this.#expire());
      await this.#leases.wait(signal);
      waited.abort();
      await lease;
    }
  }

  #expire(): void {
    this.#holds.expire(this.#options.clock.nowMs());
    this.#holdsChanged();
  }

  async #verifyTasks(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      await clock.sleep(VERIFY_INTERVAL_MS, signal);
      if (signal.aborted) return;
      await Promise.all([...this.#tasks.values()].map(({ task }) => task.verify()));
    }
  }

  /** Tells tasks that wait for time how far it has come, once all of it has come to them. */
  async #passTime(partitioner: Partitioner, signal: AbortSignal): Promise<void> {
    const { clock, progress, log, store } = this.#options;
    const subject = this.#subject;
    if (progress === undefined || subject.tickTopic === undefined) return untilAborted(signal);
    const taskOf = (partition: TopicPartition) => this.#nameOf(idOf(partition));
    const waits = new Waits({ subject, log, store, partitioner, taskOf });
    for (;;) {
      await clock.sleep(PASS_INTERVAL_MS, signal);
      if (signal.aborted) return;
      // What a topology's own stages write is told of by those that read tables. How far others have
      // come who write a topic, other topologies too, the connector does not know.
      const first = [...this.#tasks.values()]
        .map(({ task }) => task)
        .filter(({ partition: { topic } }) => subject.isCaptured?.(topic) === true);
      const waiting: Task[] = [];
      for (const task of first) {
        if (await waits.isFor(task)) waiting.push(task);
      }
      const passedMs = waiting.length === 0 ? undefined : await progress(signal);
      if (passedMs === undefined) continue;
      for (const task of waiting) {
        if (await waits.isOver(task, passedMs, signal)) task.pass(passedMs);
      }
    }
  }

  #nameOf(id: string): string {
    return taskName(this.#subject.name, this.#subject.generation, id);
  }

  async #askForHistory(topic: string, signal: AbortSignal): Promise<void> {
    const { onMissingHistory, clock } = this.#options;
    if (!this.#subject.wantsCopies(topic)) return;
    const nowMs = clock.nowMs();
    const before = this.#askedFor.get(topic);
    if (before !== undefined && nowMs - before.atMs < SAME_LOSS_MS) return before.asked;
    const asked = onMissingHistory?.(topic, signal) ?? Promise.resolve();
    this.#askedFor.set(topic, { atMs: nowMs, asked });
    return asked;
  }

  /** Ends with all tasks ended; throws what the first to fail threw. */
  async #followAssignments(partitioner: Partitioner, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const { name, topics, generation } = this.#subject;
    const failed = new AbortController();
    const errors: unknown[] = [];
    const onError = (error: unknown): void => {
      errors.push(error);
      failed.abort();
    };
    const either = AbortSignal.any([signal, failed.signal]);
    try {
      for await (const assignment of log.join(generationName(name, generation), topics, either)) {
        const revoked = [...this.#tasks.keys()].filter((id) => !isIn(assignment, id));
        await this.#end(revoked);
        this.#forget(revoked);
        if (either.aborted) break;
        for (const partition of assignment) {
          if (!this.#tasks.has(idOf(partition)))
            this.#start(partition, partitioner, either, onError);
        }
        this.#enter('running');
      }
    } finally {
      await this.#end([...this.#tasks.keys()]);
    }
    if (errors.length > 0) throw errors[0];
  }

  #start(
    partition: TopicPartition,
    partitioner: Partitioner,
    signal: AbortSignal,
    onError: (error: unknown) => void,
  ): void {
    const { log, store, deadLetterTopic } = this.#options;
    const task = new Task({
      subject: this.#subject,
      partition,
      log,
      store,
      partitioner,
      clock: this.#options.clock,
      holds: this.#holds,
      deadLetterTopic,
      limits: { ...TASK_LIMITS, ...this.#options.limits },
      onMissingHistory: () => this.#askForHistory(partition.topic, signal),
      onProgress: () => {
        this.#problem = undefined;
        this.#tell();
      },
      onProblem: (problem) => {
        this.#problem = problem;
        this.#tell();
      },
    });
    const stop = new AbortController();
    const ended = task.run(AbortSignal.any([signal, stop.signal])).catch(onError);
    this.#tasks.set(task.partitionId, { task, stop, ended });
  }

  async #end(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#tasks.get(id)?.stop.abort();
    for (const id of ids) await this.#tasks.get(id)?.ended;
  }

  // Not when the run ends: the status still tells how far its tasks came.
  #forget(ids: readonly string[]): void {
    for (const id of ids) {
      this.#processedByEnded += this.#tasks.get(id)?.task.processed ?? 0;
      this.#lateByEnded += this.#tasks.get(id)?.task.late ?? 0;
      this.#tasks.delete(id);
    }
  }

  #reachedHold(): string | undefined {
    const tasks = [...this.#tasks.values()].map(({ task }) => task);
    if (this.#state !== 'running' || !tasks.every(({ isResting }) => isResting)) return undefined;
    return this.#holds.reached(new Map(tasks.map((task) => [task.partitionId, task.offset ?? 0])));
  }

  #currentState(hold: string | undefined): ProcessorState {
    return hold === undefined ? this.#state : 'held';
  }

  #enter(state: ProcessorState): void {
    this.#state = state;
    this.#tell();
  }

  /** Calls `onChange` if there is something new to tell. */
  #tell(): void {
    const hold = this.#reachedHold();
    const told = JSON.stringify([this.#currentState(hold), hold, this.#problem]);
    if (told === this.#told) return;
    this.#told = told;
    this.#options.onChange?.();
  }
}

function idOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

function isIn(assignment: Assignment, id: string): boolean {
  return assignment.some((partition) => idOf(partition) === id);
}
