import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CommandLine, type Ended } from './command-line.ts';

const CONNECTOR = join(import.meta.dirname, '../pipelines/shop/connector.json');

/** One message that says what to do, no stack, and nothing else. */
function assertRefused({ exitCode, out, err }: Ended, expected: number, what: RegExp): void {
  assert.equal(exitCode, expected, err);
  assert.match(err, what);
  assert.equal(err.match(/^millrace: /gm)?.length, 1, err);
  assert.match(err, /\n {2}→ \S/);
  assert.doesNotMatch(err + out, /^ +at /m);
}

describe('bad input is refused before anything is done', () => {
  test('a data directory that cannot be written to', async () => {
    // By root too: nobody can make a folder there.
    await using shop = await CommandLine.make({ dataDirOf: () => '/proc/millrace' });
    assertRefused(await shop.run('up'), 78, /data_dir_unusable[^]*\/proc\/millrace[^]*--data-dir/);
  });

  test('a folder that holds other things', async () => {
    await using shop = await CommandLine.make();
    await mkdir(shop.dataDir);
    await writeFile(join(shop.dataDir, 'thesis.txt'), 'years of work');
    assertRefused(await shop.run('up'), 78, /data_dir_unusable[^]*other things in it/);
    assertRefused(await shop.run('reset', '--yes'), 78, /data_dir_unusable/);
    assert.equal(await readFile(join(shop.dataDir, 'thesis.txt'), 'utf8'), 'years of work');
  });

  test('a data directory of another version', async () => {
    await using shop = await CommandLine.make();
    await mkdir(shop.dataDir);
    await writeFile(join(shop.dataDir, 'format'), '99\n');
    const what = /data_dir_version[^]*found: 99[^]*expected: 3/;
    assertRefused(await shop.run('up'), 78, what);
    assertRefused(await shop.run('topics'), 78, what);
    assert.equal(await readFile(join(shop.dataDir, 'format'), 'utf8'), '99\n');
  });

  test('unknown and wrong options in connector.json, all in one message', async () => {
    await using shop = await CommandLine.make({ env: { POSTGRES_HOST: 'localhost' } });
    const { name, config } = JSON.parse(await readFile(CONNECTOR, 'utf8')) as {
      name: string;
      config: Record<string, string>;
    };
    const file = join(shop.folder, 'connector.json');
    const wrong = { ...config, 'slot.nmae': 'x', 'snapshot.mode': 'sometimes' };
    await writeFile(file, JSON.stringify({ name, config: wrong }));
    const ended = await shop.run('capture', '--connector', file);
    assertRefused(
      ended,
      78,
      /connector_config_invalid[^]*snapshot\.mode[^]*slot\.nmae: .*mean slot\.name/,
    );
  });

  test('wrong values in .env, all in one message', async () => {
    await using shop = await CommandLine.make();
    await writeFile(
      join(shop.folder, '.env'),
      'POSTGRES_PORT=many\nMILLRACE_LOG_RETENTION_HUORS=1\nLOG_LEVEL=loud\n',
    );
    assertRefused(
      await shop.run('up'),
      78,
      /config_invalid[^]*POSTGRES_PORT: found "many"[^]*LOG_LEVEL[^]*MILLRACE_LOG_RETENTION_HUORS/,
    );
  });

  test('a pipeline that is not there, and a command that is not there', async () => {
    await using shop = await CommandLine.make({ pipelineDir: '/nowhere' });
    assertRefused(await shop.run('up'), 78, /pipeline_invalid[^]*nowhere/);
    assertRefused(await shop.run('upp'), 2, /upp/);
  });

  test('a process of one role without the servers that it shares with others', async () => {
    await using shop = await CommandLine.make();
    assertRefused(
      await shop.run('run', 'stream'),
      78,
      /config_invalid[^]*KAFKA_BROKER: not set[^]*REDIS_HOST: not set/,
    );
    assertRefused(await shop.run('run', 'capture'), 78, /POSTGRES_HOST: not set[^]*KAFKA_BROKER/);
    assertRefused(await shop.run('run', 'everything'), 2, /everything/);
  });

  test('a question to a Millrace that never ran', async () => {
    await using shop = await CommandLine.make();
    assertRefused(await shop.run('status'), 69, /not_running/);
    assertRefused(await shop.run('reconcile'), 69, /not_running/);
  });
});
