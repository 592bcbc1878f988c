import { readFile, rm, watch } from 'node:fs/promises';
import { join } from 'node:path';
import { untilAborted } from '../../lib/until-aborted.ts';
import type { StepResult, WarehouseStep } from '../../ports/warehouse.ts';
import { duckdbType, type SparkType } from './types.ts';
import { keepWrittenFiles } from './written-files.ts';

/** What the runner writes when a step has ended. */
type Told =
  | Readonly<{
      outcome: 'done';
      seconds: number;
      rows: number;
      columns: readonly Readonly<{ name: string; type: SparkType }>[];
    }>
  | Readonly<{ outcome: 'failed'; seconds: number; problem: string; line?: number }>
  | Readonly<{ outcome: 'skipped'; because: string }>;

/**
 * Follows the folder that the runner tells of its steps in, and passes each on once, in order, when
 * the files of the step are on disk.
 */
export class RunResults {
  readonly results: StepResult[] = [];
  readonly #folder: string;
  readonly #steps: readonly WarehouseStep[];
  readonly #onStep: (event: Readonly<{ started: string }> | StepResult) => void;
  #hasStarted = false;

  constructor(
    folder: string,
    steps: readonly WarehouseStep[],
    onStep: (event: Readonly<{ started: string }> | StepResult) => void,
  ) {
    this.#folder = folder;
    this.#steps = steps;
    this.#onStep = onStep;
  }

  /** Ends when `signal` aborts, having passed on all that was told until then. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const _ of changesIn(this.#folder, signal)) await this.#readOn();
    await this.#readOn();
  }

  async #readOn(): Promise<void> {
    for (;;) {
      const index = this.results.length;
      const step = this.#steps[index];
      if (step === undefined) return;
      if (!this.#hasStarted && (await this.#read(index, 'started')) !== undefined) {
        this.#hasStarted = true;
        this.#onStep({ started: step.name });
      }
      const told = (await this.#read(index, 'ended')) as Told | undefined;
      if (told === undefined) return;
      const result = await resultOf(step, told);
      this.results.push(result);
      this.#hasStarted = false;
      this.#onStep(result);
    }
  }

  async #read(index: number, what: 'started' | 'ended'): Promise<unknown> {
    try {
      return JSON.parse(await readFile(join(this.#folder, `${index}-${what}.json`), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}

/** Ends when `signal` aborts. Where the system can't watch a folder, there is one change, at the end. */
async function* changesIn(folder: string, signal: AbortSignal): AsyncIterable<unknown> {
  try {
    yield* watch(folder, { signal });
  } catch {
    await untilAborted(signal);
  }
}

async function resultOf(step: WarehouseStep, told: Told): Promise<StepResult> {
  const { name } = step;
  if (told.outcome === 'skipped') return { name, seconds: 0, ...told };
  if (told.outcome === 'failed') {
    await removeFilesOf(step);
    return { name, ...told };
  }
  const { outcome, seconds, rows } = told;
  const files = step.kind === 'view' ? [] : await keepWrittenFiles(step.directory);
  const columns = told.columns.map((each) => ({ name: each.name, type: duckdbType(each.type) }));
  return { name, seconds, outcome, rows, files, columns: step.kind === 'check' ? [] : columns };
}

/** What a step has written that did not end well. */
export async function removeFilesOf(step: WarehouseStep): Promise<void> {
  if (step.kind !== 'view') await rm(step.directory, { recursive: true, force: true });
}
