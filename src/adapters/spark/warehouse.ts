import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { ScratchFolder } from '../../lib/scratch-folder.ts';
import type { StepResult, Warehouse, WarehouseJob } from '../../ports/warehouse.ts';
import { withSparkLiterals } from './literals.ts';
import { removeFilesOf, RunResults } from './run-results.ts';
import { submit, type Submit } from './submit.ts';
import { sparkSchema } from './types.ts';

export type SparkOptions = Readonly<{
  /** The program `spark-submit`. */
  submit: string;
  /** As Spark names it: `local[*]`, `spark://host:7077`, `yarn`. */
  master: string;
  /** Of the one Java process with a local master, else of each executor; Spark's own default without it. */
  memory?: string;
  /** For what a run needs until it ends: its job, its results, what Spark spills here. */
  workDir: string;
  /** What `spark-submit` and Spark see of the environment. */
  env: Readonly<Record<string, string | undefined>>;
}>;

/**
 * Runs jobs on Apache Spark, one `spark-submit` each, in client mode. A cluster's workers must see
 * the job's files and folders under the same paths.
 *
 * What becomes of the steps is read from files that `spark_runner.py` writes, never from what Spark
 * prints. The runner ends Spark when this process is killed.
 */
export class SparkWarehouse implements Warehouse {
  readonly description: string;
  readonly dialect = 'portable';
  readonly #options: SparkOptions;

  private constructor(options: SparkOptions, version: string) {
    this.#options = options;
    this.description = `Spark ${version} at ${options.master}`;
  }

  /** Rejects with `warehouse_unavailable` where there is no Spark that can be started, or no Java. */
  static async open(options: SparkOptions): Promise<SparkWarehouse> {
    await mkdir(options.workDir, { recursive: true });
    const { submit: program, env, workDir } = options;
    const printed = await submit(
      { program, args: ['--version'], env, cwd: workDir },
      AbortSignal.timeout(VERSION_TIMEOUT_MS),
    ).catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== 'TimeoutError') throw error;
      const found = `no answer to --version within ${VERSION_TIMEOUT_MS / 1000} s`;
      throw new MillraceError('warehouse_unavailable', { program, found }, error);
    });
    return new SparkWarehouse(options, /version (\d+\.\d+\.\S+)/.exec(printed)?.[1] ?? '');
  }

  async run(
    job: WarehouseJob,
    onStep: (event: Readonly<{ started: string }> | StepResult) => void,
    signal: AbortSignal,
  ): Promise<readonly StepResult[]> {
    signal.throwIfAborted();
    for (const step of job.steps)
      if (step.kind !== 'view' && existsSync(step.directory))
        throw new Error(`${step.directory} is there already, and not this run's to write to`);
    await using scratch = await ScratchFolder.create(this.#options.workDir, 'spark-');
    const [results, nothing] = [join(scratch.dir, 'results'), join(scratch.dir, 'nothing')];
    for (const folder of [results, nothing, spillOf(scratch.dir)]) await mkdir(folder);
    const jobFile = join(scratch.dir, 'job.json');
    await writeFile(jobFile, JSON.stringify({ ...asRunnerReads(job), results, nothing }));

    const told = new RunResults(results, job.steps, onStep);
    const [ended, failed] = [new AbortController(), new AbortController()];
    const following = told.follow(ended.signal);
    following.catch((error: unknown) => failed.abort(error));
    try {
      await submit(this.#command(jobFile, scratch.dir), AbortSignal.any([signal, failed.signal]));
    } finally {
      ended.abort();
      await following.catch(() => {}); // What it failed with has ended the submit.
      // Tasks of a failed step may have gone on for a moment, and written.
      const done = told.results.filter(({ outcome }) => outcome === 'done');
      const names = new Set(done.map(({ name }) => name));
      for (const step of job.steps) if (!names.has(step.name)) await removeFilesOf(step);
    }
    await following;
    if (told.results.length < job.steps.length)
      throw new MillraceError('warehouse_unavailable', {
        program: this.#options.submit,
        found: `ended without a result of ${job.steps[told.results.length]?.name}`,
      });
    return told.results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every run has ended what it started.
  }

  #command(jobFile: string, cwd: string): Submit {
    const { submit: program, master, memory, env } = this.#options;
    const isLocal = master.startsWith('local');
    const memoryOption = isLocal ? '--driver-memory' : '--executor-memory';
    const spill = spillOf(cwd);
    const settings = isLocal ? { ...SETTINGS, ...LOCAL_SETTINGS } : SETTINGS;
    return {
      program,
      cwd,
      args: [
        '--master',
        master,
        '--deploy-mode',
        'client',
        '--name',
        'millrace',
        ...(memory === undefined ? [] : [memoryOption, memory]),
        ...Object.entries(settings).flatMap(([name, value]) => ['--conf', `${name}=${value}`]),
        RUNNER,
        jobFile,
      ],
      env: {
        ...env,
        // On loopback alone, unless told otherwise.
        ...(isLocal && { SPARK_LOCAL_IP: env['SPARK_LOCAL_IP'] ?? '127.0.0.1' }),
        // What it is started from may be read-only, and is not Python's to keep a cache in.
        PYTHONDONTWRITEBYTECODE: '1',
        // Else a killed run would leave what it spilled, and more, in /tmp.
        SPARK_LOCAL_DIRS: spill,
        SPARK_SUBMIT_OPTS: `${env['SPARK_SUBMIT_OPTS'] ?? ''} -Djava.io.tmpdir="${spill}"`.trim(),
      },
    };
  }
}

const VERSION_TIMEOUT_MS = 60_000;
const RUNNER = join(import.meta.dirname, 'spark_runner.py');

const SETTINGS: Readonly<Record<string, string>> = {
  // So that SQL means what it means to DuckDB.
  'spark.sql.session.timeZone': 'UTC',
  'spark.sql.ansi.enabled': 'true',
  'spark.sql.ansi.doubleQuotedIdentifiers': 'true',
  'spark.sql.ansi.relationPrecedence': 'true',
  'spark.sql.timestampType': 'TIMESTAMP_NTZ',
  'spark.sql.variable.substitute': 'false',
  // So that files are read as others wrote them, and others can read them.
  'spark.sql.parquet.outputTimestampType': 'TIMESTAMP_MICROS',
  'spark.sql.parquet.datetimeRebaseModeInRead': 'CORRECTED',
  'spark.sql.parquet.datetimeRebaseModeInWrite': 'CORRECTED',
  'spark.sql.parquet.compression.codec': 'zstd',
  'spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs': 'false',
  // Few files where there are few rows, and no job on the cluster to list files that are all named.
  'spark.sql.adaptive.enabled': 'true',
  'spark.sql.adaptive.coalescePartitions.parallelismFirst': 'false',
  'spark.sql.sources.parallelPartitionDiscovery.threshold': '1000000',
  // No Hive, whose metastore would be made where we stand.
  'spark.sql.catalogImplementation': 'in-memory',
};

const LOCAL_SETTINGS: Readonly<Record<string, string>> = { 'spark.ui.enabled': 'false' };

function spillOf(dir: string): string {
  return join(dir, 'spill');
}

function asRunnerReads({ relations, steps }: WarehouseJob): object {
  return {
    owner: process.pid,
    relations: relations.map(({ name, files, columns }) => ({
      name,
      files,
      schema: sparkSchema(columns),
    })),
    steps: steps.map((step) => ({ ...step, sql: withSparkLiterals(step.sql) })),
  };
}
