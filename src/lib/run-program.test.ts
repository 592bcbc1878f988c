import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from './run-program.ts';

const NEVER = new AbortController().signal;
const sh = (script: string, signal = NEVER): ReturnType<typeof runProgram> =>
  runProgram('/bin/sh', ['-c', script], {}, signal);

test('runProgram gives what was printed on both streams, and the exit code', async () => {
  assert.deepEqual(await sh('echo one; echo two >&2; exit 3'), { code: 3, output: 'one\ntwo\n' });
});

test('runProgram kills the whole group on abort and throws the reason', async () => {
  // `wait` keeps the output open until the sleeper that the shell started has ended too.
  const signal = AbortSignal.timeout(50);
  await assert.rejects(sh('sleep 60 & wait', signal), { name: 'TimeoutError' });
});

test('runProgram rejects a program that cannot be started', async () => {
  await assert.rejects(runProgram('/no/such/program', [], {}, NEVER), { code: 'ENOENT' });
});
