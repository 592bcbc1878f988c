import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runBlock, runnableBlocks } from './runnable-blocks.ts';

test('the commands of the guides to the lake and to lineage work while the shop runs', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-lake-guide-'));
  const env = {
    ...process.env,
    MILLRACE_DATA_DIR: join(folder.path, 'data'),
    // So that no run by itself keeps one of the guide's waiting.
    BATCH_INTERVAL_SECONDS: '0',
  };
  await runBlock('src/cli/millrace up --detach', env);
  t.after(() => runBlock('src/cli/millrace reset --yes', env));
  try {
    for (const page of ['docs/guides/data-lake.md', 'docs/guides/lineage.md'])
      for (const block of runnableBlocks(page)) assert.notEqual(await runBlock(block, env), '');
  } finally {
    await runBlock('src/cli/millrace down', env);
  }
});
