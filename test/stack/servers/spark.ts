import { dirname, join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { pythonWith } from '../python-environment.ts';
import { freePort } from './free-port.ts';
import { ServerProcess, type ServerControls } from './server-process.ts';

/** Spark's own programs, in one folder, and what they need to see of the environment. */
export type SparkInstallation = Readonly<{
  submit: string;
  sparkClass: string;
  env: Readonly<Record<string, string>>;
}>;

/** A standalone master with one worker of two cores. */
export type TemporarySparkCluster = AsyncDisposable &
  Readonly<{
    /** As clients name it. */
    master: string;
    worker: ServerControls;
    /** The ports of their pages. */
    pages: readonly number[];
  }>;

const run = promisify(execFile);
const HOST = '127.0.0.1';
/** A third less of the processor for the small jobs of tests; it never runs for long enough to miss the rest. */
const QUICK = '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC';
const REQUIREMENTS = join(import.meta.dirname, '../../../deploy/spark/requirements.txt');

/** Spark as PyPI has it, fetched once, 491 MB; Java must be there. */
export async function installedSpark(): Promise<SparkInstallation> {
  const python = await pythonWith(REQUIREMENTS);
  const { stdout } = await run(python, ['-c', 'import pyspark; print(pyspark.__file__)']);
  const home = dirname(stdout.trim());
  return {
    submit: join(home, 'bin/spark-submit'),
    sparkClass: join(home, 'bin/spark-class'),
    env: { SPARK_HOME: home, PYSPARK_PYTHON: python, SPARK_SUBMIT_OPTS: QUICK },
  };
}

/** Ready when the worker is there. Its files are in `folder`, which is the caller's to remove. */
export async function temporarySparkCluster(
  { sparkClass, env }: SparkInstallation,
  folder: string,
): Promise<TemporarySparkCluster> {
  const [port, masterUi, workerUi] = [await freePort(), await freePort(), await freePort()];
  const start = (name: string, mainClass: string, args: readonly string[], ready: RegExp) =>
    ServerProcess.start({
      name,
      program: sparkClass,
      args: [`org.apache.spark.deploy.${mainClass}`, '--host', HOST, ...args],
      env: {
        ...env,
        SPARK_LOCAL_IP: HOST,
        SPARK_LOCAL_DIRS: folder,
        SPARK_DAEMON_JAVA_OPTS: `-Djava.io.tmpdir=${folder}`,
      },
      cwd: folder,
      missing: 'default-jre-headless',
      isReady: (logged) => ready.test(logged),
    });
  await using started = new AsyncDisposableStack();
  const masterArgs = ['--port', String(port), '--webui-port', String(masterUi)];
  const isAlive = /I have been elected leader! New state: ALIVE/;
  started.use(await start(`spark-master-${port}`, 'master.Master', masterArgs, isAlive));
  const master = `spark://${HOST}:${port}`;
  const resources = ['--cores', '2', '--memory', '1g', '--work-dir', join(folder, 'worker')];
  const workerArgs = ['--webui-port', String(workerUi), ...resources, master];
  const isRegistered = /Successfully registered with master/;
  const worker = await start(`spark-worker-${port}`, 'worker.Worker', workerArgs, isRegistered);
  started.use(worker);
  const stack = started.move();
  const pages = [masterUi, workerUi];
  return {
    master,
    worker: worker.controls,
    pages,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
