import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CommandLine } from '../command-line.ts';
import { runBlock, runnableBlocks } from '../runnable-blocks.ts';
import { jarsOf } from './servers/jars.ts';
import { java } from './servers/java.ts';
import { temporaryKafka } from './servers/kafka.ts';
import { temporaryRedis } from './servers/redis.ts';

const PAGE = 'docs/guides/look-at-kafka-and-redis.md';

describe(PAGE, async () => {
  await using stack = new AsyncDisposableStack();
  const kafka = stack.use(await temporaryKafka());
  const redis = stack.use(await temporaryRedis());
  const env = {
    KAFKA_BROKER: kafka.brokers.join(','),
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
  };
  const shop = stack.use(await CommandLine.make({ env }));
  const servers = stack.move();
  after(() => servers.disposeAsync());
  before(async () => {
    await runBlock('command -v kcat', process.env).catch((error: unknown) => {
      throw new Error('kcat is missing: apt-get install kcat', { cause: error });
    });
    // The jars come without their scripts.
    const tool = 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand';
    const { program, args } = java(await jarsOf('kafka'), tool, []);
    const script = `#!/bin/sh\nexec ${program} '${args.join("' '")}' "$@"\n`;
    await writeFile(join(shop.folder, 'kafka-consumer-groups.sh'), script, { mode: 0o755 });
    await shop.up('--no-generator');
    await shop.succeed('generate', '--batches', '5', '--rate', '1000', '--seed', '1');
    // Its figures are those of the source: all that was generated is in Kafka and in Redis.
    await shop.succeed('reconcile');
  });

  for (const block of runnableBlocks(PAGE))
    test(block.trim().split('\n')[0] ?? block, async () => {
      const PATH = `${shop.folder}:${process.env['PATH']}`;
      const printed = await runBlock(block, { ...process.env, ...env, PATH });
      assert.notEqual(printed.trim(), '');
      // What the tools print, with exit code 0, for a command that Redis refuses and a group that Kafka does not have.
      assert.doesNotMatch(
        printed,
        /^\(error\)|^ERR |^WRONGTYPE|^Error: |does not exist|no active members/m,
      );
    });
});
