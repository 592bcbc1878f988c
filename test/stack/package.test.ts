import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { eventually } from '../command-line.ts';
import { temporaryFolder, temporaryPostgres, type TemporaryPostgres } from '../postgres.ts';
import { runnableBlocks } from '../runnable-blocks.ts';
import { packed, USER_ENV } from '../tarball.ts';

const PAGE = 'docs/guides/first-pipeline.md';
const execute = promisify(execFile);

describe(`${PAGE}, where npm has installed the package in an empty folder`, () => {
  let root: string;
  let server: TemporaryPostgres;
  let client: PostgresClient;

  const run = async (program: string, ...args: string[]): Promise<string> => {
    const env = {
      ...USER_ENV,
      POSTGRES_HOST: server.host,
      POSTGRES_PORT: String(server.port),
      POSTGRES_USER: server.user,
      POSTGRES_PASSWORD: server.password,
      POSTGRES_DB: server.database,
      NODE_TEST_CONTEXT: undefined,
    };
    return (await execute(program, args, { cwd: join(root, 'user'), env })).stdout;
  };

  before(async () => {
    root = await temporaryFolder('millrace-npm-');
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
    await client.query(
      'create table visits (id bigint generated always as identity primary key, page text not null)',
    );
    await mkdir(join(root, 'user'));
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', 'install', ...options, await packed(root));
  });
  after(async () => {
    // Where a block failed, it may still run.
    await run('npx', 'millrace', 'down').catch(() => undefined);
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
    await rm(root, { recursive: true, force: true });
  });

  for (const block of runnableBlocks(PAGE))
    test(block.trim().replaceAll('\n', '; '), async () => {
      if (block.includes('store scan')) {
        await client.query(`insert into visits (page) values ('/')`);
        await eventually('counted', async () =>
          (await run('npx', 'millrace', 'store', 'scan', 'changes:*')).includes(':c'),
        );
      }
      assert.notEqual((await run('bash', '-euo', 'pipefail', '-c', block)).trim(), '');
    });
});
