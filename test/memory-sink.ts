import { MillraceError } from '../src/domain/errors.ts';
import type { Sink, SinkAccount, SinkBatch, SinkRecord, SinkWriter } from '../src/ports/sink.ts';

/** A sink of a test's own, which outlives the tasks that write to it. */
export class MemorySink implements Sink {
  readonly description = 'memory';
  readonly batchRecords: number;
  /** All it ever took, in its order. */
  readonly taken: SinkRecord[] = [];
  /** Told of each write before and after it takes effect; what it throws is the write's failure. */
  onWrite: (when: 'before' | 'after', batch: SinkBatch) => void | Promise<void> = () => {};
  /** Why a record is refused; undefined: it is taken. */
  refusal: (record: SinkRecord) => string | undefined;
  readonly keepsAccount: boolean;
  readonly #accounts = new Map<string, SinkAccount>();
  #open = 0;

  constructor({
    keepsAccount = true,
    batchRecords = 10,
    refusal = () => undefined,
  }: Readonly<{
    keepsAccount?: boolean;
    batchRecords?: number;
    refusal?: MemorySink['refusal'];
  }> = {}) {
    this.keepsAccount = keepsAccount;
    this.batchRecords = batchRecords;
    this.refusal = refusal;
  }

  /** Writers not yet disposed of. */
  get openWriters(): number {
    return this.#open;
  }

  account(task: string): SinkAccount | undefined {
    return this.#accounts.get(task);
  }

  /** What it holds now, to be put back to. */
  backup(): Readonly<{ restore(): void }> {
    const taken = [...this.taken];
    const accounts = [...this.#accounts];
    return {
      restore: () => {
        this.clear();
        this.taken.push(...taken);
        for (const [task, account] of accounts) this.#accounts.set(task, account);
      },
    };
  }

  clear(): void {
    this.taken.length = 0;
    this.#accounts.clear();
  }

  async open(task: string): Promise<SinkWriter> {
    this.#open += 1;
    let known = this.#accounts.get(task);
    const write: SinkWriter['write'] = async (batch, signal) => {
      signal.throwIfAborted();
      await this.onWrite('before', batch);
      if (this.#accounts.get(task) !== known) throw new MillraceError('commit_conflict', { task });
      const { refusals, account } = this.#take(batch, known);
      if (this.keepsAccount) this.#accounts.set(task, (known = account));
      await this.onWrite('after', batch);
      return refusals;
    };
    return {
      get account() {
        return known;
      },
      write,
      [Symbol.asyncDispose]: async () => {
        this.#open -= 1;
      },
    };
  }

  #take({ records, leftOut, next, mark }: SinkBatch, known: SinkAccount | undefined) {
    const refusals = [];
    const refusedKeys = new Set<string>();
    const notTaken = new Set([...(known?.leftOut ?? []), ...leftOut]);
    for (const record of records) {
      const { offset, keyText } = record;
      const reason = this.refusal(record);
      const waits = keyText !== null && refusedKeys.has(keyText);
      notTaken.delete(offset);
      if (waits || reason !== undefined) notTaken.add(offset);
      else this.taken.push(record);
      if (waits || reason === undefined) continue;
      if (keyText !== null) refusedKeys.add(keyText);
      refusals.push({ offset, name: 'Refused', message: reason });
    }
    return { refusals, account: { next, mark, leftOut: notTaken } };
  }
}
