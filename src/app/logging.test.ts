import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { logFileIn, placesIn } from './data-directory.ts';
import { openLogger } from './logging.ts';

test('writes a JSON object a line, and never a secret', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  try {
    mkdirSync(placesIn(dir).logs);
    const { logger, ...file } = openLogger(dir, 'info');
    logger.info(
      { source: { host: 'db', password: 'hunter2' }, url: 'postgresql://u:hunter2@h' },
      'up',
    );
    logger.debug('not at this level');
    await file[Symbol.asyncDispose]();
    const text = readFileSync(logFileIn(dir), 'utf8');
    const line = JSON.parse(text) as Record<string, unknown>;
    assert.equal(line['msg'], 'up');
    assert.equal(line['level'], 'info');
    assert.ok(!text.includes('hunter2'), text);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
