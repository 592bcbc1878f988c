import assert from 'node:assert/strict';
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DuckDbWarehouse } from '../../adapters/duckdb/warehouse.ts';
import { Lake } from '../../batch/lake/lake.ts';
import { runModelsInTurn } from './run-models.ts';

async function withPlace(
  work: (place: Parameters<typeof runModelsInTurn>[0]) => Promise<void>,
): Promise<void> {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'millrace-runs-'));
  const modelsDir = join(dir.path, 'models');
  await mkdir(modelsDir);
  await writeFile(join(modelsDir, 'one.sql'), '/*\nmaterialization: table\n*/\nSELECT 1 AS n\n');
  const lake = await Lake.open(join(dir.path, 'lake'));
  await using warehouse = await DuckDbWarehouse.open({
    memoryLimit: '100MB',
    tempDirectory: join(dir.path, 'tmp'),
  });
  await work({ lake, warehouse, modelsDir, variables: {} });
}

describe('runModelsInTurn', () => {
  const { signal } = new AbortController();

  test('begins when the run that is under way has ended, and says that it waits', async () => {
    await withPlace(async (place) => {
      const other = place.lake.lock('models');
      let waits = 0;
      const onWait = (): void => {
        waits += 1;
        other[Symbol.dispose]();
      };
      const { report } = await runModelsInTurn(place, { patienceMs: 60_000, onWait, signal });
      assert.deepEqual([waits, report.models[0]?.outcome], [1, 'done']);
    });
  });

  test('names what is under way when that takes longer than it may wait', async () => {
    await withPlace(async (place) => {
      using _other = place.lake.lock('models');
      await assert.rejects(runModelsInTurn(place, { patienceMs: 0, onWait: () => {}, signal }), {
        code: 'lake_busy',
      });
    });
  });

  test('ends when it is told to while it waits', async () => {
    await withPlace(async (place) => {
      using _other = place.lake.lock('models');
      const stop = new AbortController();
      const onWait = (): void => stop.abort();
      await assert.rejects(
        runModelsInTurn(place, { patienceMs: 60_000, onWait, signal: stop.signal }),
        { name: 'AbortError' },
      );
    });
  });
});
