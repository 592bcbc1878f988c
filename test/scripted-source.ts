import { MillraceError } from '../src/domain/errors.ts';
import type { Lsn } from '../src/domain/lsn.ts';
import { must } from '../src/lib/must.ts';
import type {
  ChangeSource,
  CopyStream,
  RunningTransactions,
  Slot,
  Snapshot,
  SourceIdentity,
  Table,
  WalBatch,
  WalStream,
} from '../src/ports/change-source.ts';
import * as wal from './scripted-wal.ts';

type Row = readonly [id: string, v: string];
type Change = Readonly<{ old?: Row | undefined; row?: Row | undefined; said?: string }>;
type Transaction = Readonly<{
  xid: number;
  changes: readonly Change[];
  messages: readonly Buffer[];
  commitLsn: Lsn;
  end: Lsn;
}>;

const OID = 16_400;
/** Unlike a real one, long enough to be met. */
const START = 1000n;

/** `public.a (id int primary key, v text)` with REPLICA IDENTITY FULL. */
export const TABLE: Table = {
  oid: OID,
  schema: 'public',
  name: 'a',
  columns: [
    { name: 'id', typeOid: 23, typeModifier: -1, typeName: 'integer', isGenerated: false },
    { name: 'v', typeOid: 25, typeModifier: -1, typeName: 'text', isGenerated: false },
  ],
  primaryKey: ['id'],
  uniqueKey: [],
  identityColumns: [],
  replicaIdentity: 'full',
  estimatedRows: -1,
  kind: 'table',
};

/**
 * A database of one table whose every moment a test decides: what commits between two questions of the
 * connector, how late a commit becomes visible, how the stream is cut. For the engine's own tests;
 * whether servers are like this is for tests with a server.
 */
export class ScriptedSource implements ChangeSource {
  readonly #rows = new Map<string, string>();
  /** Without the transactions that are in the WAL but not visible yet. */
  readonly #visible = new Map<string, string>();
  readonly #log: Transaction[] = [];
  readonly #invisible: Transaction[] = [];
  readonly #beforeAnswer: (question: string) => void;
  readonly #batchSize: () => number;
  #slot: { name: string; confirmed: Lsn } | undefined;
  #lsn = START;
  #xid = 700;
  #wake: (() => void) | undefined;
  #isFollowed = false;
  /** Contents of the logical messages since the slot was made, in the order of the WAL. */
  readonly said: string[] = [];

  constructor(script: {
    rows: number;
    /** Of each row there is at the start. */
    value?: string;
    /** May commit, publish, and throw. */
    beforeAnswer?: (question: string) => void;
    /** Messages a batch. */
    batchSize?: () => number;
  }) {
    this.#beforeAnswer = script.beforeAnswer ?? (() => undefined);
    this.#batchSize = script.batchSize ?? (() => 100);
    for (let id = 1; id <= script.rows; id += 1) {
      this.#rows.set(String(id), script.value ?? 'first');
      this.#visible.set(String(id), script.value ?? 'first');
    }
  }

  /** The rows after all that was committed. */
  get rows(): ReadonlyMap<string, string> {
    return this.#rows;
  }

  get end(): Lsn {
    return this.#lsn as Lsn;
  }

  /** How many messages the WAL holds, relation messages aside. */
  get messages(): number {
    return this.#log.reduce((sum, { messages }) => sum + messages.length, 0);
  }

  /** Makes changes in one transaction, in the WAL at once; visible to snapshots from `publish` on. */
  commit(
    ...changes: readonly Readonly<{ from?: string; to?: string; v?: string; say?: string }>[]
  ): void {
    // Who changes a row that another changed waits until that is visible.
    const keys = changes.flatMap(({ from, to }) => [from, to]);
    const isBefore = ({ changes: others }: Transaction) =>
      others.some(({ old, row }) => keys.includes(old?.[0]) || keys.includes(row?.[0]));
    while (this.#invisible.some(isBefore)) this.publish(this.#invisible.findIndex(isBefore));

    const made: Change[] = [];
    for (const { from, to, v = 'new', say } of changes) {
      if (say !== undefined) {
        made.push({ said: say });
        this.said.push(say);
        continue;
      }
      const old = from === undefined ? undefined : this.#rowOf(from);
      if (from !== undefined && old === undefined) continue;
      if (to !== undefined && to !== from && this.#rows.has(to)) continue;
      const row: Row | undefined = to === undefined ? undefined : [to, v];
      if (old !== undefined) this.#rows.delete(old[0]);
      if (row !== undefined) this.#rows.set(row[0], row[1]);
      made.push({ old, row });
    }
    if (made.length === 0) return;
    const xid = (this.#xid += 1);
    const first = this.#lsn;
    const commitLsn = (first + 10n * BigInt(made.length + 1)) as Lsn;
    const end = (commitLsn + 10n) as Lsn;
    const bodies = made.map((change, index) =>
      messageOf(change, (first + 10n * BigInt(index + 1)) as Lsn),
    );
    const payloads = [wal.begin(commitLsn, xid), ...bodies, wal.commit(commitLsn, end)];
    const messages = payloads.map((payload, index) =>
      wal.xlogData((first + 10n * BigInt(index)) as Lsn, payload),
    );
    this.#lsn = end;
    const transaction = { xid, changes: made, messages, commitLsn, end };
    this.#log.push(transaction);
    this.#invisible.push(transaction);
    this.#wake?.();
  }

  /** Emits a logical message of no transaction. */
  say(content: string): void {
    const begin = this.#lsn as Lsn;
    const end = (begin + 10n) as Lsn;
    const message = wal.xlogData(end, wal.logicalMessage(end, 'said', content, false));
    this.#log.push({ xid: 0, changes: [], messages: [message], commitLsn: begin, end });
    this.#lsn = end;
    this.said.push(content);
    this.#wake?.();
  }

  /** Makes the transactions visible that are not; or one of them. */
  publish(index?: number): void {
    const published =
      index === undefined ? this.#invisible.splice(0) : this.#invisible.splice(index, 1);
    for (const { changes } of published)
      for (const { old, row } of changes) {
        if (old !== undefined) this.#visible.delete(old[0]);
        if (row !== undefined) this.#visible.set(row[0], row[1]);
      }
  }

  /** How many transactions are in the WAL and not visible. */
  get invisible(): number {
    return this.#invisible.length;
  }

  async identify(): Promise<SourceIdentity> {
    this.#beforeAnswer('identify');
    const facts = { systemId: '7', timeline: 1, database: 'd', serverVersion: 180_000 };
    return { ...facts, walEnd: this.end };
  }

  async tables(): Promise<readonly Table[]> {
    return [TABLE];
  }

  async table(): Promise<Table> {
    return TABLE;
  }

  async ensurePublication(): Promise<void> {}

  async publicationExists(): Promise<boolean> {
    return true;
  }

  async slot(name: string): Promise<Slot | undefined> {
    if (this.#slot?.name !== name) return undefined;
    const confirmedFlush = this.#slot.confirmed;
    return {
      plugin: 'pgoutput',
      database: 'd',
      active: this.#isFollowed,
      confirmedFlush,
      restartLsn: confirmedFlush,
      walStatus: 'reserved',
      retainedBytes: 0,
      lagBytes: 0,
    };
  }

  async createSlot(name: string) {
    this.#beforeAnswer('createSlot');
    this.publish(); // a new slot waits for the transactions that run
    this.#slot = { name, confirmed: this.end };
    this.said.length = 0;
    const snapshot = this.#snapshotOfNow();
    return { consistentPoint: this.end, snapshot, [Symbol.asyncDispose]: async () => undefined };
  }

  async dropSlot(): Promise<void> {
    this.#slot = undefined;
  }

  async snapshot(): Promise<Snapshot> {
    this.#beforeAnswer('snapshot');
    return this.#snapshotOfNow();
  }

  async walInsertLsn(): Promise<Lsn> {
    this.#beforeAnswer('walInsertLsn');
    return this.end;
  }

  async runningTransactions(): Promise<RunningTransactions> {
    return { atMs: 0, ids: this.#invisible.map(({ xid }) => String(xid)) };
  }

  async execute(): Promise<void> {}

  async follow({ from }: { from: Lsn }, signal: AbortSignal): Promise<WalStream> {
    this.#beforeAnswer('follow');
    this.publish(); // a commit is visible long before a connector that was cut off is back
    const slot = must(this.#slot, 'the slot was created');
    const begin = from > slot.confirmed ? from : slot.confirmed;
    this.#isFollowed = true;
    return {
      batches: (inner) => this.#batches(begin, AbortSignal.any([signal, inner])),
      confirm: (upTo) => {
        if (upTo > slot.confirmed) slot.confirmed = upTo;
      },
      [Symbol.asyncDispose]: async () => {
        this.#isFollowed = false;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async *#batches(from: Lsn, signal: AbortSignal): AsyncGenerator<WalBatch> {
    let next = this.#log.findIndex(({ commitLsn }) => commitLsn >= from);
    if (next < 0) next = this.#log.length;
    let waiting: Buffer[] = [];
    let isRelationTold = false;
    while (!signal.aborted) {
      const transaction = this.#log[next];
      if (transaction === undefined && waiting.length === 0) {
        yield wal.walBatch([wal.keepalive(this.end)]);
        if (next === this.#log.length) await this.#moreComes(signal);
        continue;
      }
      if (transaction !== undefined) {
        next += 1;
        const [first, ...others] = transaction.messages;
        const isTold: boolean = isRelationTold || transaction.changes.length === 0;
        const told = isTold ? [] : [wal.xlogData(0n as Lsn, wal.relation(TABLE))];
        isRelationTold ||= !isTold;
        waiting.push(must(first, 'a transaction begins'), ...told, ...others);
      }
      while (waiting.length > 0 && !signal.aborted) {
        const size = Math.max(1, this.#batchSize());
        this.#beforeAnswer('batch');
        yield wal.walBatch(waiting.slice(0, size));
        waiting = waiting.slice(size);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  #moreComes(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
    return promise;
  }

  #snapshotOfNow(): Snapshot {
    const running = this.#invisible.map(({ xid }) => xid);
    const xmax = this.#xid + 1;
    const rows = [...this.#visible].map(([id, v]): Row => [id, v]);
    const beforeAnswer = this.#beforeAnswer;
    return {
      visible: `${Math.min(xmax, ...running)}:${xmax}:${running.join(',')}`,
      table: async () => TABLE,
      async *copy({ after, limit }): CopyStream {
        beforeAnswer('copy');
        const [last = '-Infinity'] = after ?? [];
        const page = rows
          .filter(([id]) => Number(id) > Number(last))
          .toSorted(([a], [b]) => Number(a) - Number(b))
          .slice(0, limit);
        // Pieces of a few rows, so that a chunk may end anywhere.
        for (let at = 0; at < page.length; at += 3) {
          beforeAnswer('rows');
          yield Buffer.from(
            page
              .slice(at, at + 3)
              .map(wal.copyLine)
              .join(''),
          );
        }
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  #rowOf(id: string): Row | undefined {
    const v = this.#rows.get(id);
    return v === undefined ? undefined : [id, v];
  }
}

/** What a source that is away says. */
export function unreachable(): MillraceError {
  return new MillraceError('source_unreachable', { address: 'scripted' });
}

function messageOf({ old, row, said }: Change, at: Lsn): Buffer {
  if (said !== undefined) return wal.logicalMessage(at, 'said', said, true);
  if (old === undefined) return wal.insert(OID, must(row, 'a change has a row'));
  return row === undefined ? wal.deletion(OID, ['O', old]) : wal.update(OID, ['O', old], row);
}
