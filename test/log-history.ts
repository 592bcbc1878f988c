import { recordsOf } from './capture.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import type { Row } from '../src/domain/envelope.ts';

type Event = Readonly<{
  op: string;
  before: Row | null;
  after: Row | null;
  source: Readonly<{ lsn: number | null; txId: number | null; snapshot: string }>;
}>;

/**
 * Replays a topic of a table with REPLICA IDENTITY FULL and returns its rows by key, and what is wrong with it.
 *
 * Each update and delete tells the row that it changed: it must be the one that the records before left, so a
 * record that is lost, doubled or out of order within its key shows. Within a key, the LSN never falls.
 * A row may be copied once, or as often as `copies` says; when the stream already told it, the copy must agree. A partition holds a transaction's
 * streamed records in one piece, in LSN order, and a truncate removes its rows. `copiedLate` counts the rows that
 * came in chunks beside the stream, as after a crash in the first copy.
 */
export async function historyOf(
  log: EventLog,
  topic: string,
  copies = 1,
): Promise<{ rows: Map<string, Row>; problems: string[]; records: number; copiedLate: number }> {
  const rows = new Map<string, Row>();
  const copied = new Map<string, number>();
  const lastLsn = new Map<string, number>();
  const problems: string[] = [];
  const unseen = new Set<string>();
  const { partitions = 0 } = (await log.topics()).find(({ name }) => name === topic) ?? {};
  let records = 0;
  let copiedLate = 0;
  for (let partition = 0; partition < partitions; partition += 1) {
    let expectsTombstone: string | undefined;
    const ownKeys = new Set<string>();
    const transactions = new Set<number>();
    let transaction: number | undefined;
    let transactionLsn = 0;
    for (const record of await recordsOf(log, topic, partition)) {
      records += 1;
      const key = record.key === null ? '' : Buffer.from(record.key).toString();
      const at = `${topic}/${partition}@${record.offset} key ${key}`;
      if (record.value === null) {
        if (expectsTombstone !== key)
          problems.push(`${at}: a tombstone without a delete before it`);
        expectsTombstone = undefined;
        continue;
      }
      if (expectsTombstone !== undefined) problems.push(`${at}: no tombstone before it`);
      const event = JSON.parse(Buffer.from(record.value).toString()) as Event;
      const known = rows.get(key);
      const { lsn, txId } = event.source;
      if (event.op !== 'r' && txId !== null) {
        if (txId !== transaction) {
          if (transactions.has(txId))
            problems.push(`${at}: transaction ${txId} goes on after another`);
          transactions.add(txId);
          transaction = txId;
          transactionLsn = 0;
        }
        if ((lsn ?? 0) < transactionLsn)
          problems.push(`${at}: LSN ${lsn} after ${transactionLsn} in transaction ${txId}`);
        transactionLsn = lsn ?? 0;
      }
      if (event.op === 't') {
        for (const each of ownKeys) {
          rows.delete(each);
          unseen.add(each);
        }
        continue;
      }
      ownKeys.add(key);
      if (event.op !== 'r' && lsn !== null) {
        if (lsn < (lastLsn.get(key) ?? 0))
          problems.push(`${at}: LSN ${lsn} after ${lastLsn.get(key)}`);
        lastLsn.set(key, lsn);
      }
      if (event.op === 'r') {
        const times = (copied.get(key) ?? 0) + 1;
        if (times > copies) problems.push(`${at}: copied ${times} times`);
        copied.set(key, times);
        if (event.source.snapshot === 'incremental') copiedLate += 1;
        if (known !== undefined && !same(known, event.after))
          problems.push(`${at}: the copy is older than what the stream told before it`);
      } else if (event.op === 'c') {
        if (known !== undefined) problems.push(`${at}: created, but it exists`);
      } else if (known !== undefined) {
        if (!same(known, event.before))
          problems.push(
            `${at}: ${event.op} of ${JSON.stringify(event.before)}, but it is ${JSON.stringify(known)}`,
          );
      } else if (unseen.has(key)) problems.push(`${at}: ${event.op} of a row that is gone`);
      // The first that a change tells of a row that was not copied yet: a copy that follows is of it, or is dropped.
      unseen.add(key);
      if (event.after === null) {
        rows.delete(key);
        expectsTombstone = key;
      } else {
        rows.set(key, event.after);
        if (event.op === 'c') unseen.delete(key);
      }
    }
    if (expectsTombstone !== undefined)
      problems.push(`${topic}/${partition}: the last delete has no tombstone`);
  }
  return { rows, problems, records, copiedLate };
}

function same(a: Row, b: Row | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
