import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { query } from '../src/adapters/postgres/client.ts';
import { must } from '../src/lib/must.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';

const pipelineDir = (name: string) => join(import.meta.dirname, 'pipelines', name);

describe('millrace dlq', () => {
  let payments: CommandLine;
  before(async () => {
    payments = await CommandLine.make({ pipelineDir: pipelineDir('strict') });
    await payments.up();
    await sql(`insert into payments values (1, '10'), (2, 'ten'), (3, '5'), (4, 'four')`);
    await sql(`update payments set amount = '7' where id = 2`);
    await eventually('all taken into account', async () => (await parked()) === 3);
  });
  after(() => payments[Symbol.asyncDispose]());

  const sql = async (text: string): Promise<void> => {
    const source = must((await payments.ask('source', {}))[0], 'it runs');
    await query({ ...source, password: source.password ?? '' }, text);
  };
  const parked = async (): Promise<number> =>
    must((await payments.status()).processors[0], 'there is one processor').parked;
  const list = async () => jsonLines(await payments.succeed('dlq', 'list', '--json'));
  const total = async (): Promise<string> =>
    (await payments.succeed('store', 'get', 'payments:total')).trim();
  const idOf = (offset: number) => `payments/dbserver1.public.payments-0@${offset}`;

  test('parks a record that is rejected, and the later ones of its key; the rest flows on', async () => {
    assert.equal(await total(), '15');
    const waiting = (await list()).map(({ key, failed }) => `${String(key)} ${String(failed)}`);
    assert.deepEqual(
      waiting.filter((each) => each.startsWith('{"id":2}')),
      ['{"id":2} true', '{"id":2} false'],
    );
    assert.deepEqual(
      waiting.filter((each) => each.startsWith('{"id":4}')),
      ['{"id":4} true'],
    );
    assert.match(await payments.succeed('dlq', 'list'), /@1 .*failed .*"ten" is no amount/);
    const shown = await payments.succeed('dlq', 'show', idOf(1));
    assert.match(shown, /"error": .*ten.* is no amount/);
    assert.match(shown, /"amount": ?"ten"/);
  });

  test('drops the failed record, and tries those behind it', async () => {
    await payments.succeed('dlq', 'drop', idOf(1));
    const [only, ...more] = await list();
    assert.deepEqual([only?.['key'], more], ['{"id":4}', []]);
    assert.equal(await total(), '22');
  });

  test('says at once that a replayed record has failed again', async () => {
    const startedMs = performance.now();
    const [outcome] = await payments.ask('dlq.replay', { id: idOf(3) });
    assert.ok(performance.now() - startedMs < 8000, 'it waited for a change that never came');
    assert.deepEqual(outcome, { processor: 'payments', parkedBefore: 1, parkedAfter: 1 });
    await eventually('told', async () => (await parked()) === 1);
  });

  test('tells an id that is not there apart', async () => {
    const { exitCode, err } = await payments.run('dlq', 'show', idOf(99));
    assert.equal(exitCode, 2);
    assert.match(err, /id of a parked record/);
  });

  test('keeps dead letters over a restart, and replays them once the processor is mended', async () => {
    await payments.succeed('down');
    assert.equal((await list()).length, 1);
    const { exitCode, err } = await payments.run('dlq', 'replay', '--all', 'payments');
    assert.equal(exitCode, 69);
    assert.match(err, /millrace up/);
    payments.pipelineDir = pipelineDir('mended');
    await payments.up();
    await payments.succeed('dlq', 'replay', '--all', 'payments');
    assert.deepEqual(await list(), []);
    assert.equal(await total(), '26');
    await eventually('told', async () => (await parked()) === 0);
  });
});
