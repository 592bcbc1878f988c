import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** kcat reads a topic, read-committed, and for each record it is noted how old its change is. */
export class KcatWatch implements AsyncDisposable {
  readonly #kcat: ChildProcess;
  readonly #latenciesMs: number[] = [];
  #failure: Error | undefined;

  constructor(program: string, brokers: readonly string[], topic: string) {
    const what = ['-C', '-t', topic, '-p', '0', '-o', 'beginning', '-u', '-q', '-f', '%s\\n'];
    const how = ['-b', brokers.join(','), '-X', 'isolation.level=read_committed'];
    const kcat = spawn(program, [...how, ...what], { stdio: ['ignore', 'pipe', 'inherit'] });
    kcat.once('error', (error) => (this.#failure = error));
    kcat.once('exit', (code) => (this.#failure ??= new Error(`kcat ended with ${code}`)));
    createInterface({ input: kcat.stdout }).on('line', (line) => this.#take(line));
    this.#kcat = kcat;
  }

  /** In the order of the topic. Throws when kcat has ended. */
  get latenciesMs(): readonly number[] {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#latenciesMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#kcat.kill();
    await once(this.#kcat, 'exit');
  }

  #take(line: string): void {
    const nowMs = performance.timeOrigin + performance.now();
    const { source } = JSON.parse(line) as { source: { ts_us: number } };
    this.#latenciesMs.push(nowMs - source.ts_us / 1000);
  }
}
