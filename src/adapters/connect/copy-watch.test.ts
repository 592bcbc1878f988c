import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CopyWatch } from './copy-watch.ts';

const watch = () => new CopyWatch(() => 100);

const told = (copies: CopyWatch, kind: 'Initial' | 'Incremental', type: string, data = {}) =>
  copies.take(
    Buffer.from(
      JSON.stringify({ aggregate_type: `${kind} Snapshot`, type, additional_data: data }),
    ),
  );

describe('CopyWatch', () => {
  test('follows the first copy from its tables to its end', () => {
    const copies = watch();
    told(copies, 'Initial', 'STARTED');
    told(copies, 'Initial', 'DATA_COLLECTIONS_RESOLVED', { data_collections: 's.a,s.b' });
    const scanned = { scanned_collection: 's.a', total_rows_scanned: '7', status: 'SUCCEEDED' };
    told(copies, 'Initial', 'TABLE_SCAN_COMPLETED', scanned);
    assert.deepEqual(copies.tables(), [
      { table: 's.a', rows: 7, estimatedRows: 100, done: true },
      { table: 's.b', rows: 0, estimatedRows: 100, done: false },
    ]);
    told(copies, 'Initial', 'COMPLETED');
    assert.equal(copies.problem, undefined);
  });

  test('shows a copy as soon as it is ordered, and why a table is not copied', () => {
    const copies = watch();
    copies.ordered(['s.a']);
    assert.equal(copies.tables()[0]?.done, false);
    told(copies, 'Incremental', 'DATA_COLLECTIONS_RESOLVED', { data_collections: 's.a' });
    const scanned = {
      scanned_collection: 's.a',
      total_rows_scanned: '0',
      status: 'NO_PRIMARY_KEY',
    };
    told(copies, 'Incremental', 'TABLE_SCAN_COMPLETED', scanned);
    assert.equal(copies.problem, 's.a was not copied: NO_PRIMARY_KEY');
    copies.ordered(['s.b']);
    assert.equal(copies.problem, undefined);
    assert.deepEqual(
      copies.tables().map(({ table }) => table),
      ['s.b'],
    );
  });

  test('passes over what is told of other things', () => {
    const copies = watch();
    copies.take(Buffer.from('{"aggregate_type":"Connector","type":"STARTED"}'));
    assert.deepEqual(copies.tables(), []);
  });
});
