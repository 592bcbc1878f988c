import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventLogContract } from '../../../test/contracts/event-log.ts';
import { Bell } from '../../lib/bell.ts';
import { LmdbEventLog } from './event-log.ts';

eventLogContract('LmdbEventLog', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-log-'));
  const wake = Bell.memory();
  const retention = { ms: 3_600_000, bytes: 1 << 30 };
  const log = await LmdbEventLog.open({ dir, wake, retention });
  return {
    log,
    another: () => LmdbEventLog.open({ dir, wake, retention }),
    [Symbol.asyncDispose]: async () => {
      await log[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
});
