import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommanderError } from 'commander';
import { MillraceError } from '../domain/errors.ts';
import { describeFailure, toJson } from './failure.ts';

test('a named failure shows its code, its facts, the reason and what to do', () => {
  const error = new MillraceError(
    'config_invalid',
    { problems: ['POSTGRES_PORT: expected 1 to 65535, found "x"', 'LOG_LEVEL: unknown "loud"'] },
    new Error('outer', { cause: new Error('inner') }),
  );
  const failure = describeFailure(error);
  assert.equal(failure.exitCode, 78);
  assert.deepEqual(failure.text.split('\n'), [
    'millrace: config_invalid',
    '  problems:',
    '    - POSTGRES_PORT: expected 1 to 65535, found "x"',
    '    - LOG_LEVEL: unknown "loud"',
    '  because: inner',
    '  → Correct each problem listed, then start again.',
  ]);
});

test('what a server said stands for the errors that it came in', () => {
  const error = new MillraceError(
    'log_login_failed',
    { said: 'SASL_AUTHENTICATION_FAILED' },
    new Error('Received response with error'),
  );
  assert.doesNotMatch(describeFailure(error).text, /because|Received/);
});

test('the exit code is that of the table of errors', () => {
  assert.equal(describeFailure(new MillraceError('not_running')).exitCode, 69);
  assert.equal(describeFailure(new MillraceError('slot_lost')).exitCode, 1);
});

test('a usage error exits with 2, help with 0', () => {
  assert.equal(describeFailure(new CommanderError(1, 'commander.x', 'error: no')).exitCode, 2);
  assert.equal(describeFailure(new CommanderError(0, 'commander.help', 'x')).exitCode, 0);
});

test('anything else is a bug, shown with its stack', () => {
  const failure = describeFailure(new Error('boom'));
  assert.equal(failure.exitCode, 1);
  assert.match(failure.text, /boom[\s\S]*failure\.test\.ts[\s\S]*please report/);
});

test('JSON of a failure holds positions as text', () => {
  const { json } = describeFailure(new MillraceError('log_behind_slot', { slot: 5n }));
  assert.match(toJson(json), /"facts":\{"slot":"5"\}/);
});
