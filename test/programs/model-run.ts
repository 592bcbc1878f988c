import { join } from 'node:path';
import { DuckDbEngine } from '../../src/adapters/duckdb/engine.ts';
import { DuckDbWarehouse } from '../../src/adapters/duckdb/warehouse.ts';
import { loadModels } from '../../src/batch/models/project.ts';
import { runModels } from '../../src/batch/run/model-run.ts';
import { isGood } from '../../src/batch/run/run-report.ts';
import { must } from '../../src/lib/must.ts';
import { ORDERS } from '../crash/model-kills.ts';
import { ScriptedLake } from '../scripted-lake.ts';

/*
 * Adds an order to the lake in a folder, makes the folder's models, and so on for ever; prints a line
 * before each run. With a number, so many runs and no more.
 */
const [dir = '', runs = 'Infinity'] = process.argv.slice(2);

const options = { memoryLimit: '128MB', threads: 1, tempDirectory: join(dir, 'tmp') };
await using engine = await DuckDbEngine.open(options);
await using warehouse = await DuckDbWarehouse.open(options);
const { lake, ...scripted } = await opened();
const { models } = await loadModels(join(dir, 'models'));
const all = new Set(models.map(({ name }) => name));

for (let run = 0; run < Number(runs); run += 1) {
  await scripted.add();
  process.stdout.write('run\n');
  const report = await runModels({
    lake,
    warehouse,
    models,
    build: all,
    test: all,
    fullRefresh: false,
    runStartedAtMs: 0,
    variables: {},
    onEvent: () => {},
    signal: new AbortController().signal,
  });
  if (!isGood(report)) throw new Error(JSON.stringify(report, null, 2));
}

async function opened(): Promise<Pick<ScriptedLake, 'lake'> & { add(): Promise<void> }> {
  const made = await ScriptedLake.create(join(dir, 'lake'), engine, [ORDERS]);
  const { topic } = must(Object.values((await made.lake.manifest()).tables)[0], 'it was made');
  return {
    lake: made.lake,
    add: async () => {
      const { tables } = await made.lake.manifest();
      const id = tables[topic]?.offsets['0'] ?? 0;
      await made.append([{ table: 'orders', op: 'c', row: { id, customer_id: id % 5 } }]);
    },
  };
}
