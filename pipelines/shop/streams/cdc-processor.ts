import type { Change, Processor, TaskContext } from '../../../src/index.ts';
import { isRowTable, TOPICS } from '../row-tables.ts';
import { ChangeJournal } from './change-journal.ts';
import { applyRow, seenRowKeys, truncateRows } from './seen-rows.ts';

/** Counted as `metrics:<table>:<name>`; copied and truncated rows are in `cdc:stats` only. */
const COUNTED: Partial<Record<Change['op'], string>> = { c: 'created', u: 'updated', d: 'deleted' };

/** Keeps the caches and counters that follow every change of the shop's tables. */
export const cdcProcessor: Processor = cdcProcessorWith(new ChangeJournal());

function cdcProcessorWith(journal: ChangeJournal): Processor {
  return {
    name: 'cdc-processor',
    topics: TOPICS,
    serves: ['cdc:', 'customer:', 'order:', 'product:', 'metrics:', 'alert:low_stock:'],

    reads: (change) =>
      isRowTable(change.source.table) ? [...seenRowKeys(change), ...journal.keys(change)] : [],

    process(change, context) {
      const { table } = change.source;
      count(context, `cdc:stats:${table}:${change.op}`);
      count(context, 'cdc:stats:total');
      if (!isRowTable(table)) return undefined;

      const counted = COUNTED[change.op];
      if (counted !== undefined) count(context, `metrics:${table}:${counted}`);
      if (change.op === 't')
        return truncateRows(table, change, context).then(() => journal.record(change, context));
      applyRow(table, change, context);
      return journal.record(change, context);
    },
  };
}

function count(context: TaskContext, key: string): void {
  context.serve({ op: 'add', key, amount: '1' });
}
