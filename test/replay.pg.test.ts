import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { query } from '../src/adapters/postgres/client.ts';
import { must } from '../src/lib/must.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';

const pipelineDir = (name: string) => join(import.meta.dirname, 'pipelines', name);

describe('millrace replay', () => {
  let tally: CommandLine;
  before(async () => {
    tally = await CommandLine.make({ pipelineDir: pipelineDir('tally') });
    await tally.up();
    await sql(`insert into payments select id, id::text from generate_series(1, 500) id`);
    await eventually('all taken in', async () => (await served('largest:even')) === '500');
  });
  after(() => tally[Symbol.asyncDispose]());

  const sql = async (text: string): Promise<void> => {
    const source = must((await tally.ask('source', {}))[0], 'it runs');
    await query({ ...source, password: source.password ?? '' }, text);
  };
  const served = async (key: string): Promise<string | undefined> => {
    const [entry] = await tally.ask('store.get', { key });
    return entry?.type === 'string' ? entry.value : undefined;
  };
  const processor = async () => (await tally.status()).processors[0];

  test('builds the results anew while the old ones are served', async () => {
    const replay = ['replay', 'tally', '--from', 'beginning', '--wait'];
    const events = jsonLines(await tally.succeed(...replay, '--json'));
    assert.equal(events.at(-1)?.['kind'], 'done');
    assert.deepEqual([await served('largest:even'), await served('largest:odd')], ['500', '499']);
    await sql(`insert into payments values (502, '502')`);
    await eventually('it goes on', async () => (await served('largest:even')) === '502');
    assert.match(await tally.succeed(...replay), /^tally serves generation 3, after /m);
  });

  test('what its operators keep may be asked for', async () => {
    assert.match(await tally.succeed('query', 'tally'), /^largest +reduce +values$/m);
    const answers = jsonLines(await tally.succeed('query', 'tally', 'largest', '--json'));
    assert.deepEqual(answers, [
      { kind: 'value', key: 'even', value: 502 },
      { kind: 'value', key: 'odd', value: 499 },
    ]);
    assert.match(await tally.succeed('query', 'tally', 'largest', 'odd'), /^"odd" +499$/m);
    const { exitCode, err } = await tally.run('query', 'tally', 'smallest');
    assert.equal(exitCode, 2);
    assert.match(err, /that keeps values: largest/);
  });

  test('lets a changed topology take the place of the one whose state it finds', async () => {
    await tally.succeed('down');
    tally.pipelineDir = pipelineDir('retally');
    await tally.up();
    await eventually('it is refused', async () => (await processor())?.state === 'failed');
    assert.match((await processor())?.problem ?? '', /topology_changed/);
    assert.equal(await served('largest:even'), '502');

    const asked = await tally.succeed('replay', 'tally', '--from', 'beginning', '--wait');
    assert.match(asked, /^tally is not running: topology_changed/m);
    assert.match(asked, /^Generation 4 begins when it is started again\.$/m);
    await tally.succeed('down');
    await tally.up();
    await eventually('it is built', async () => (await served('cents:even')) === '50200');
    await eventually('the old is gone', async () => (await served('largest:even')) === undefined);
  });

  test('names what it does not know', async () => {
    const { exitCode, err } = await tally.run('replay', 'nothing', '--from', 'beginning');
    assert.equal(exitCode, 2);
    assert.match(err, /a processor of pipeline tally: tally/);
  });
});
