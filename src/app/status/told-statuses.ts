import type {
  BatchStatus,
  ConnectorState,
  ConnectorStatus,
  GeneratorStatus,
  LakeWriterStatus,
  ProcessorStatus,
  Status,
} from '../../domain/status.ts';
import type { StatusReport, WorkerFacts } from '../operations/operations.ts';
import { RateMeter } from './rate-meter.ts';

/** Workers tell of themselves every five seconds at least: who was silent for so long is gone. */
const SILENCE_MS = 15_000;

/** Where a status came from: its place in the log, and when it was heard, by this process's clock. */
type Heard = Readonly<{ offset: number; heardMs: number }>;

type Told<S extends Status = Status> = Heard &
  Readonly<{
    status: S;
    /** It said goodbye, and counts only for what it has done. */
    hasLeft: boolean;
    /** Of each partition that it claims, or '' for its work as a whole: where in the log that claim began. */
    claims: ReadonlyMap<string, number>;
  }>;

/**
 * What all parts told last; of a part that several workers share, one status over those that live.
 *
 * A worker lives until it says goodbye or is silent for 15 s. One that was cut off may live on for a
 * while beside its successor, each claiming the same partition: the younger claim counts.
 */
export class ToldStatuses {
  readonly #told = new Map<string, Told>();
  readonly #rates = new RateMeter();
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  tell(key: string, status: Status, heard: Heard): void {
    const before = this.#told.get(key)?.claims;
    const claims = new Map(
      claimedBy(status).map((claim) => [claim, before?.get(claim) ?? heard.offset]),
    );
    this.#told.set(key, { ...heard, status, hasLeft: false, claims });
    if (status.worker !== undefined) this.#rates.sample(key, status.atMs, countOf(status));
  }

  /** A worker ended. Its counts stay, or a sum over workers would fall. */
  leave(key: string): void {
    const told = this.#told.get(key);
    if (told !== undefined) this.#told.set(key, { ...told, hasLeft: true });
  }

  get connector(): ConnectorStatus | undefined {
    return this.#oneOf('connector') as ConnectorStatus | undefined;
  }

  get generator(): GeneratorStatus | undefined {
    return this.#oneOf('generator') as GeneratorStatus | undefined;
  }

  get lake(): LakeWriterStatus | undefined {
    return this.#oneOf('lake-writer') as LakeWriterStatus | undefined;
  }

  get batch(): BatchStatus | undefined {
    return this.#oneOf('batch') as BatchStatus | undefined;
  }

  /** In name order. */
  get processors(): readonly ProcessorStatus[] {
    const names = [...this.#told.values()].flatMap(({ status }) =>
      'tasks' in status ? [status.name] : [],
    );
    return [...new Set(names)].toSorted().flatMap((name) => this.processor(name) ?? []);
  }

  processor(name: string): ProcessorStatus | undefined {
    const told = this.#of(`processor:${name}`) as Told<ProcessorStatus>[];
    const alone = told.find(({ status }) => status.worker === undefined);
    if (alone !== undefined) return alone.status;
    return told.length === 0 ? undefined : merged(told, told.filter(this.#isLive));
  }

  /** Those that live, in name order. */
  get workers(): readonly WorkerFacts[] {
    const live = [...this.#told.values()].filter(this.#isLive);
    return live
      .map(({ status, heardMs }) => ({
        worker: status.worker ?? '',
        component: status.component,
        state: status.state,
        partitions: 'tasks' in status ? status.tasks.length : 0,
        heardMs,
      }))
      .toSorted((a, b) => compare(a.worker, b.worker) || compare(a.component, b.component));
  }

  /** Of the workers that live, by the times in their statuses. */
  rates(): NonNullable<StatusReport['rates']> {
    const names = this.processors.map(({ name }) => name);
    return {
      capturedPerSecond: this.#rateOf('connector'),
      processedPerSecond: Object.fromEntries(
        names.map((name) => [name, this.#rateOf(`processor:${name}`)]),
      ),
    };
  }

  #rateOf(component: Status['component']): number {
    return [...this.#told]
      .filter(([, told]) => told.status.component === component && this.#isLive(told))
      .reduce((sum, [key]) => sum + this.#rates.perSecond(key), 0);
  }

  /** Of a part that one process runs at a time: of several, the last one that began to work. */
  #oneOf(component: Status['component']): Status | undefined {
    const told = this.#of(component);
    const alone = told.find(({ status }) => status.worker === undefined);
    if (alone !== undefined) return alone.status;
    const live = told.filter(this.#isLive);
    const candidates = live.length > 0 ? live : told;
    const [first] = candidates.toSorted(
      (a, b) => workSince(b) - workSince(a) || b.offset - a.offset,
    );
    if (first === undefined || live.length > 0) return first?.status;
    return { ...first.status, state: 'stopped', ...silence(first) };
  }

  /**
   * What the workers of a component told; or what the one process told that runs all of it, if that
   * came after them.
   */
  #of(component: string): Told[] {
    const told = [...this.#told.values()].filter(({ status }) => status.component === component);
    const newest = told.toSorted((a, b) => b.offset - a.offset)[0];
    if (newest === undefined || newest.status.worker === undefined)
      return newest === undefined ? [] : [newest];
    return told.filter(({ status }) => status.worker !== undefined);
  }

  readonly #isLive = ({ status, hasLeft, heardMs }: Told): boolean =>
    status.worker !== undefined &&
    !hasLeft &&
    status.state !== 'stopped' &&
    this.#clock() - heardMs < SILENCE_MS;
}

/** One status of a processor: what lives tells how it is, what ever lived how much was done. */
function merged(
  all: readonly Told<ProcessorStatus>[],
  live: readonly Told<ProcessorStatus>[],
): ProcessorStatus {
  const told = live.length > 0 ? live : all;
  const newest = told.reduce((a, b) => (b.offset > a.offset ? b : a));
  const hold = commonHold(live);
  const problem = problemOf(live) ?? (live.length === 0 ? silence(newest).problem : undefined);
  return {
    component: newest.status.component,
    name: newest.status.name,
    atMs: newest.status.atMs,
    state: stateOf(live, hold),
    records: all.reduce((sum, { status }) => sum + status.records, 0),
    parked: live.reduce((sum, { status }) => sum + status.parked, 0),
    late: all.reduce((sum, { status }) => sum + status.late, 0),
    tasks: tasksOf(live),
    ...(problem !== undefined && { problem }),
    ...(hold !== undefined && { hold }),
    ...(newest.status.rebuild !== undefined && { rebuild: newest.status.rebuild }),
  };
}

/** The hold that every worker has come to rest for; one that still moves moves the store. */
function commonHold(live: readonly Told<ProcessorStatus>[]): string | undefined {
  const hold = live[0]?.status.hold;
  return live.every(({ status }) => status.hold === hold) ? hold : undefined;
}

/** The worst. */
function stateOf(
  live: readonly Told<ProcessorStatus>[],
  hold: string | undefined,
): ProcessorStatus['state'] {
  const states = live.map(({ status }) => status.state);
  if (states.length === 0) return 'stopped';
  for (const bad of ['failed', 'starting'] as const) if (states.includes(bad)) return bad;
  return hold === undefined ? 'running' : 'held';
}

function tasksOf(live: readonly Told<ProcessorStatus>[]): ProcessorStatus['tasks'] {
  const claimed = new Map<string, { since: number; task: ProcessorStatus['tasks'][number] }>();
  for (const { status, claims } of live) {
    for (const task of status.tasks) {
      const since = claims.get(task.task) ?? -1;
      if (since <= (claimed.get(task.task)?.since ?? -1)) continue;
      const { worker } = status;
      claimed.set(task.task, { since, task: worker === undefined ? task : { ...task, worker } });
    }
  }
  return [...claimed.values()].map(({ task }) => task).toSorted((a, b) => compare(a.task, b.task));
}

function problemOf(live: readonly Told<ProcessorStatus>[]): string | undefined {
  const problems = live.flatMap(({ status: { worker = '', problem } }) =>
    problem === undefined ? [] : [`${worker}: ${problem}`],
  );
  return problems.length === 0 ? undefined : problems.join('; ');
}

/** Who ended in order, or failed, has said so. */
function silence({ status, hasLeft }: Told): { problem?: string } {
  if (hasLeft || status.state === 'stopped') return {};
  const since = new Date(status.atMs).toISOString();
  return { problem: `nothing was heard of ${status.worker ?? 'it'} since ${since}` };
}

/** A runner that has failed still tells how far its tasks came, but runs none. */
function claimedBy(status: Status): readonly string[] {
  if ('tasks' in status)
    return ['running', 'held'].includes(status.state) ? status.tasks.map(({ task }) => task) : [];
  const isWorking = !('changes' in status) || WORKING[status.state];
  return isWorking ? [''] : [];
}

const WORKING: Readonly<Record<ConnectorState, boolean>> = {
  starting: false,
  copying: true,
  streaming: true,
  waiting: false,
  paused: true,
  stopped: false,
  failed: false,
};

function workSince({ claims }: Told): number {
  return claims.get('') ?? -1;
}

function countOf(status: Status): number {
  if ('records' in status) return status.records;
  if ('changes' in status) return status.changes;
  return 'runs' in status ? status.runs : status.rows;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
