import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CommandLine } from '../command-line.ts';
import { temporaryRedis } from './servers/redis.ts';

const run = promisify(execFile);

test('the shop has its figures again in a Redis that was emptied, though the log has lost its beginning', async () => {
  await using redis = await temporaryRedis();
  const cli = async (...command: string[]): Promise<string> =>
    (await run('redis-cli', ['-p', String(redis.port), ...command])).stdout.trim();
  const env = {
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
    // Little, but more than processors ever are behind here: what they have not read must not go.
    MILLRACE_LOG_RETENTION_BYTES: String(4 * 1024 ** 2),
  };
  await using shop = await CommandLine.make({ env });
  await shop.up('--no-generator');
  let seed = 0;
  const generate = () =>
    shop.succeed('generate', '--batches', '8', '--rate', '2000', '--seed', String((seed += 1)));
  // Until what is left of the log is less than what there was.
  while (!(await hasLostItsBeginning(shop))) await generate();
  await shop.succeed('reconcile');

  await cli('FLUSHALL');
  await generate();
  // The connector is asked for copies, and makes them: until then there are differences.
  const givenUpAtMs = Date.now() + 60_000;
  while ((await shop.run('reconcile')).exitCode !== 0) {
    assert.ok(Date.now() < givenUpAtMs, 'the figures are not those of the source after 60 s');
  }
  assert.ok(Number(await cli('GET', 'cdc:stats:orders:r')) > 0, 'rows were copied');
});

async function hasLostItsBeginning(shop: CommandLine): Promise<boolean> {
  const { topics } = await shop.status();
  const found = topics.find(({ topic }) => topic === 'dbserver1.public.orders');
  return (found?.partitions[0]?.start ?? 0) > 0;
}
