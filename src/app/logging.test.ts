import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { logFileIn, placesIn } from './config/data-directory.ts';
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

const NO_DEV_FULL = existsSync('/dev/full') ? false : 'this system has no /dev/full';

test('goes on when the disk was full, and ends', { skip: NO_DEV_FULL }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  try {
    mkdirSync(placesIn(dir).logs);
    symlinkSync('/dev/full', logFileIn(dir));
    const { logger, ...file } = openLogger(dir, 'info');
    logger.info('lost');
    // Each line is a try: when the one before is known to have failed is not ours to say.
    rmSync(logFileIn(dir));
    while (!existsSync(logFileIn(dir)) || readFileSync(logFileIn(dir), 'utf8') === '') {
      logger.info('written');
      await wait(5);
    }
    await file[Symbol.asyncDispose]();
    rmSync(logFileIn(dir));
    symlinkSync('/dev/full', logFileIn(dir));
    const full = openLogger(dir, 'info');
    full.logger.info('lost');
    await full[Symbol.asyncDispose]();
  } finally {
    rmSync(dir, { recursive: true });
  }
});
