import assert from 'node:assert/strict';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import { loadPipeline } from './load-pipeline.ts';

async function pipelineIn(dir: string, processors: string): Promise<string> {
  await writeFile(
    join(dir, 'pipeline.ts'),
    `export const pipeline = { name: 'mine', processors: ${processors} };`,
  );
  return dir;
}

const BY_ENVIRONMENT = `(variables) => [{
  name: variables.text('MY_NAME') ?? 'unnamed',
  topics: [variables.decimal('MY_AMOUNT', '9.90'), String(variables.integer('MY_COUNT', 3, { min: 1 }))],
}]`;

test('a pipeline takes settings of its own from the environment', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-pipeline-'));
  const dir = await pipelineIn(folder.path, BY_ENVIRONMENT);
  const { processors } = await loadPipeline(dir, { MY_NAME: 'named', MY_COUNT: '' });
  assert.deepEqual(processors, [{ name: 'named', topics: ['9.90', '3'] }]);
});

test('all that is wrong with them is told in one message', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-pipeline-'));
  const dir = await pipelineIn(folder.path, BY_ENVIRONMENT);
  await assert.rejects(
    loadPipeline(dir, { MY_AMOUNT: '1e3', MY_COUNT: '0' }),
    (error) =>
      error instanceof MillraceError &&
      error.code === 'config_invalid' &&
      (error.facts['problems'] as string[]).length === 2,
  );
});

test('two processors of one name are refused', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-pipeline-'));
  const dir = await pipelineIn(folder.path, `[{ name: 'a' }, { name: 'a' }]`);
  await assert.rejects(
    loadPipeline(dir, {}),
    (error) => error instanceof MillraceError && error.code === 'pipeline_invalid',
  );
});
