import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { Interruption } from './interruption.ts';

function fixture() {
  const stdout = new EventEmitter();
  const exits: number[] = [];
  let nowMs = 0;
  const emitter = Object.assign(new EventEmitter(), {
    stdout,
    exit: (code: number) => exits.push(code),
  });
  const interruption = new Interruption(emitter as unknown as NodeJS.Process, () => nowMs);
  const at = (ms: number) => {
    nowMs = ms;
  };
  return { emitter, stdout, exits, interruption, at };
}

test('aborts at the first Ctrl-C and takes an immediate second one for the same', () => {
  const { emitter, exits, interruption, at } = fixture();
  emitter.emit('SIGINT');
  assert.ok(interruption.signal.aborted);
  at(900);
  emitter.emit('SIGINT');
  assert.deepEqual(exits, []);
});

test('a later second one ends the process at once', () => {
  const { emitter, exits, at } = fixture();
  emitter.emit('SIGTERM');
  at(1500);
  emitter.emit('SIGINT');
  assert.deepEqual(exits, [143]);
});

test('what a signal cut short ends as shells have it; what runs until it is told to end has done its work', () => {
  for (const [signal, exitCode] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
    const { emitter, interruption } = fixture();
    assert.equal(interruption.exitCode, undefined);
    emitter.emit(signal);
    assert.equal(interruption.exitCode, exitCode);
    interruption.runUntilTold();
    assert.equal(interruption.exitCode, undefined);
  }
});

test('leaves Ctrl-C to a child that has the terminal, but not SIGTERM', () => {
  const { emitter, interruption } = fixture();
  interruption.leaveToChild();
  emitter.emit('SIGINT');
  assert.ok(!interruption.signal.aborted);
  emitter.emit('SIGTERM');
  assert.ok(interruption.signal.aborted);
});

test('aborts when nobody reads standard output any more', () => {
  const { stdout, interruption } = fixture();
  stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  assert.ok(interruption.signal.aborted);
  assert.equal(interruption.exitCode, undefined);
});
