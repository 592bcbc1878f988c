import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { createProgram } from './program.ts';
import { Terminal } from './terminal.ts';

const CONTEXT = {
  terminal: new Terminal({ out: new PassThrough(), err: new PassThrough(), noColour: true }),
  environment: () => ({}),
  cwd: '.',
  signal: new AbortController().signal,
  leaveInterruptsToChild: () => {},
  runsUntilTold: () => {},
  foundFailure: () => {},
};

const namesFor = async (...args: readonly string[]): Promise<string[]> =>
  (await createProgram(CONTEXT, args)).commands.map((command) => command.name());

test('loads the command alone that is run, and all where all may be told of', async () => {
  const all = await namesFor();
  assert.ok(all.length > 20);
  for (const name of all) {
    const own = name === 'completion' ? all : [name];
    assert.deepEqual(await namesFor(name, 'up', '--help'), own);
    assert.deepEqual(await namesFor('--pipeline', 'up', '--data-dir', 'x', name), own);
  }
  for (const args of [['--help', 'up'], ['--data-dir=x', 'up'], ['statsu', 'up'], ['--pipeline']])
    assert.deepEqual(await namesFor(...args), all);
});
