import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { query } from '../src/adapters/postgres/client.ts';
import { must } from '../src/lib/must.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';
import { temporaryPostgres, type TemporaryPostgres } from './postgres.ts';

const pipelineDir = join(import.meta.dirname, 'pipelines/warehouse');
const PASSWORD = 'hunter2';

describe('millrace up, with a warehouse', () => {
  let warehouse: TemporaryPostgres;
  let millrace: CommandLine;
  before(async () => {
    [warehouse, millrace] = await Promise.all([
      temporaryPostgres(),
      CommandLine.make({ pipelineDir }),
    ]);
    await query(warehouse, `CREATE ROLE etl LOGIN PASSWORD '${PASSWORD}'`);
    await query(warehouse, 'CREATE DATABASE dw OWNER etl');
  });
  after(async () => {
    await millrace[Symbol.asyncDispose]();
    await warehouse.stop();
  });

  const sql = async (text: string): Promise<void> => {
    const source = must((await millrace.ask('source', {}))[0], 'it runs');
    await query({ ...source, password: source.password ?? '' }, text);
  };
  const rows = async (): Promise<string[]> => {
    const found = await query(
      { ...warehouse, database: 'dw' },
      'SELECT id, amount FROM payments ORDER BY id',
    ).catch(() => []);
    return found.map(({ id, amount }) => `${id}:${amount}`);
  };
  const untilRows = (...expected: string[]): Promise<void> =>
    eventually(`${expected.join()} in the warehouse`, async () => {
      return (await rows()).join() === expected.join();
    });
  const sinkStatus = async () =>
    must(
      (await millrace.status()).processors.find(({ name }) => name === 'booking.warehouse'),
      'a sink is told as a processor',
    );

  test('refuses to start without the address, before it has made anything', async () => {
    const { exitCode, err } = await millrace.run('up');
    assert.equal(exitCode, 78);
    assert.match(err, /WAREHOUSE_URL: not set, expected by sink booking\.warehouse/);
    assert.throws(() => readdirSync(millrace.dataDir));
  });

  test('keeps the table, over kill -9 and with bad rows left out', async () => {
    const { host, port } = warehouse;
    millrace.env = { WAREHOUSE_URL: `postgres://etl:${PASSWORD}@${host}:${port}/dw` };
    const running = await millrace.up();
    await sql(`INSERT INTO payments VALUES (1, '10'), (2, 'ten'), (3, '5'), (4, '7')`);
    await sql(`UPDATE payments SET amount = '11' WHERE id = 1; DELETE FROM payments WHERE id = 4`);
    await untilRows('1:11', '3:5');
    await eventually('the bad row is parked', async () => (await sinkStatus()).parked === 1);
    running.kill('SIGKILL');
    await running.ended;
    await millrace.up();
    await sql(`UPDATE payments SET amount = '2' WHERE id = 2; DELETE FROM payments WHERE id = 3`);
    await untilRows('1:11');
    await eventually('the next of its key, too', async () => (await sinkStatus()).parked === 2);
    const [first] = jsonLines(await millrace.succeed('dlq', 'list', '--json'));
    assert.match(String(first?.['error']), /invalid input syntax for type integer: "ten"/);
    await millrace.succeed('dlq', 'drop', String(first?.['id']));
    await untilRows('1:11', '2:2');
  });

  test('says that the warehouse is gone, while its topology goes on, and never the password', async () => {
    // An immediate shutdown: killed alone, it would leave the connection's process at work for a while.
    process.kill(warehouse.pid, 'SIGQUIT');
    await warehouse.ended;
    await sql(`INSERT INTO payments VALUES (5, '50')`);
    await eventually('the sink has failed', async () =>
      /sink_unreachable/.test((await sinkStatus()).problem ?? ''),
    );
    const booking = (await millrace.status()).processors.find(({ name }) => name === 'booking');
    assert.equal(booking?.state, 'running');
    const told = JSON.stringify(await millrace.status());
    const logs = join(millrace.dataDir, 'logs');
    const logged = readdirSync(logs).map((file) => readFileSync(join(logs, file), 'utf8'));
    assert.ok(logged.some((text) => text.includes('sink_unreachable')));
    for (const text of [told, ...logged]) assert.ok(!text.includes(PASSWORD));
  });
});
