import assert from 'node:assert/strict';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectorConfig } from '../../../test/capture.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { LakePart } from './lake-part.ts';

const NOWHERE = { host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: 'p' };

test('who asks for what is new is told that the lake can not be written, and not that it has it', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-lake-part-'));
  const noFolder = join(folder.path, 'lake');
  await writeFile(noFolder, '');
  const part = new LakePart({
    places: {
      lake: { dir: noFolder, isNamed: true, flushMs: 60_000, retentionMs: 1 },
      batch: { intervalMs: 0, memory: '64MB', warehouse: { kind: 'duckdb' } },
    },
    log: new MemoryEventLog(),
    connector: connectorConfig(NOWHERE),
    connection: NOWHERE,
    engine: 'native',
    requestCopy: () => Promise.reject(new Error('nothing was lost')),
    isInKafka: false,
    onChange: () => {},
  });
  await part.flush();
  const failed = { code: 'lake_unusable' };
  await assert.rejects(part.run(new AbortController().signal), failed);
  await assert.rejects(part.flush(), failed);
});
