import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, rmSync, statfsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { query } from '../src/adapters/postgres/client.ts';
import { must } from '../src/lib/must.ts';
import { CommandLine, eventually } from './command-line.ts';

const pipelineDir = join(import.meta.dirname, 'pipelines/strict');

/** Of a full disk: PostgreSQL can still write, we no more. */
const LEFT_BYTES = 10 << 20;
const STEP = Buffer.alloc(1 << 20);

async function sql(cli: CommandLine, text: string) {
  const source = must((await cli.ask('source', {}))[0], 'it runs');
  return query({ ...source, password: source.password ?? '' }, text);
}

describe('the data of an embedded Millrace', () => {
  test('lies in the data directory, by root too, and goes with reset', async () => {
    await using cli = await CommandLine.make({ pipelineDir });
    await cli.up();
    const [row] = await sql(cli, 'show data_directory');
    assert.equal(row?.['data_directory'], join(cli.dataDir, 'postgres', 'data'));
    const refused = await cli.run('reset', '--yes');
    assert.equal(refused.exitCode, 69);
    assert.match(refused.err, /data_dir_locked[^]*millrace down/);
    await cli.succeed('down');
    const unasked = await cli.run('reset');
    assert.equal(unasked.exitCode, 2);
    assert.match(unasked.err, /--yes/);
    assert.ok(existsSync(cli.dataDir));
    await cli.succeed('reset', '--yes');
    assert.equal(existsSync(cli.dataDir), false);
  });

  test('waits for space where its disk is full, says so, and goes on; a mounted disk stays', async (t) => {
    await using cli = await CommandLine.make({ pipelineDir });
    await mkdir(cli.dataDir);
    try {
      execFileSync(
        '/bin/mount',
        ['-t', 'tmpfs', '-o', 'size=256m,mode=711', 'tmpfs', cli.dataDir],
        {
          stdio: 'ignore',
        },
      );
    } catch {
      t.skip('only root may mount a small disk');
      return;
    }
    try {
      const running = await cli.up();
      await sql(cli, `insert into payments values (1, '1')`);
      const fill = join(cli.dataDir, 'logs', 'fill');
      const { bavail, bsize } = statfsSync(cli.dataDir);
      for (let left = bavail * bsize - LEFT_BYTES; left > 0; left -= STEP.length)
        appendFileSync(fill, STEP);
      await sql(cli, `insert into payments select n, '1' from generate_series(2, 1000) n`);
      await running.until(/connector failed: disk_full/);
      await eventually('shown as waiting', async () => {
        const { state, problem = '' } = (await cli.status()).connector ?? {};
        return state === 'waiting' && problem.includes('disk_full');
      });
      rmSync(fill);
      await running.until(/connector works again/);
      await eventually('all taken into account', async () => {
        const [total] = await cli.ask('store.get', { key: 'payments:total' });
        return total?.type === 'string' && total.value === '1000';
      });
      await cli.succeed('down');
      await cli.succeed('reset', '--yes');
      assert.deepEqual(await readdir(cli.dataDir), []);
    } finally {
      execFileSync('/bin/umount', ['--lazy', cli.dataDir]);
    }
  });
});
