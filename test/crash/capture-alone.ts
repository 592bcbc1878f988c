import type { Kill, Victim } from './plan.ts';
import { MillraceProcess } from './millrace-process.ts';
import type { Subject } from './subject.ts';
import { Up } from './up.ts';
import { SLOT, type Workplace } from './workplace.ts';

const PATIENCE_MS = 90_000;

/** `millrace capture` against a server of the user's own, which the test starts. */
export class CaptureAlone implements Subject {
  readonly #place: Workplace;
  #capture: MillraceProcess | undefined;
  #up: Up | undefined;

  constructor(place: Workplace) {
    this.#place = place;
  }

  async start(): Promise<void> {
    await this.#place.server.start();
    this.#capture = await this.#run();
  }

  async until(since: Kill['since']): Promise<void> {
    if (since === 'start') return;
    const condition = since === 'copy' ? '' : ' and active';
    await this.#capture?.until(`its slot was seen${condition}`, PATIENCE_MS, async () => {
      const sql = `select from pg_replication_slots where slot_name = $1${condition}`;
      return (await this.#place.server.query(sql, [SLOT])).length > 0;
    });
  }

  async kill(victim: Victim): Promise<void> {
    await Promise.all([
      victim === 'millrace' || victim === 'both' ? this.#capture?.kill() : undefined,
      victim === 'millrace'
        ? undefined
        : this.#place.server.kill({ children: victim !== 'postmaster' }),
    ]);
  }

  async startAgain(victim: Victim): Promise<void> {
    if (victim !== 'millrace') await this.#place.server.start();
    if (victim === 'millrace' || victim === 'both') this.#capture = await this.#run();
  }

  /** There is no store yet. */
  async reconcile(): Promise<void> {}

  /** To its end alone; then the rest of Millrace works on what it left in the log. */
  async settle(): Promise<void> {
    await this.#capture?.stop();
    this.#capture = await this.#run('--until-idle', '300ms');
    await this.#capture.succeeds(PATIENCE_MS);
    this.#up = new Up(this.#place, await this.#environment());
    await this.#up.start();
    await this.#up.until('stream');
    await this.#up.settle();
  }

  async stop(): Promise<void> {
    await this.#up?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#capture?.kill();
    await this.#up?.[Symbol.asyncDispose]();
  }

  async #run(...given: string[]): Promise<MillraceProcess> {
    const { dataDir, connectorFile, printed, folder } = this.#place;
    return MillraceProcess.start({
      arguments: ['capture', '--connector', connectorFile, '--data-dir', dataDir, ...given],
      env: await this.#environment(),
      logFile: printed,
      cwd: folder,
    });
  }

  async #environment(): Promise<Record<string, string>> {
    const { host, port, user, password, database } = await this.#place.server.facts();
    return {
      POSTGRES_HOST: host,
      POSTGRES_PORT: String(port),
      POSTGRES_USER: user,
      POSTGRES_PASSWORD: password,
      POSTGRES_DB: database,
    };
  }
}
