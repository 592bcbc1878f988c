/*
 * Has Spark run a statement that does not end, and prints a line once it is under way.
 * Arguments: spark-submit, a folder to work in, the statement.
 */
import { join } from 'node:path';
import { SparkWarehouse } from '../../src/adapters/spark/warehouse.ts';

const [, , submit = '', workDir = '', sql = ''] = process.argv;
const options = { submit, workDir, master: 'local[2]', env: process.env };
const warehouse = await SparkWarehouse.open(options);
const directory = join(workDir, 'rows');
const check = { kind: 'check', severity: 'warn', keep: 0, directory } as const;
await warehouse.run(
  { relations: [], steps: [{ ...check, name: 'endless', sql, after: [] }] },
  () => process.stdout.write('started\n'),
  new AbortController().signal,
);
