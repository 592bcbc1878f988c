import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AuthenticationError,
  NetworkError,
  ProtocolError,
  ResponseError,
} from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';
import { isPassing, logError } from './errors.ts';

const answered = (...codes: readonly number[]) =>
  new ResponseError(
    0,
    11,
    Object.fromEntries(codes.map((code, index) => [`/${index}`, [code, null]])),
    undefined,
  );
const codeOf = (error: unknown) => {
  const named = logError(error, {});
  return named instanceof MillraceError ? named.code : undefined;
};

test('what a broker answers is named for what an operator can do', () => {
  const codes = {
    3: 'topic_missing',
    10: 'record_too_large',
    29: 'log_refuses',
    35: 'log_unsuitable',
    47: 'producer_fenced',
    58: 'log_login_failed',
    6: 'log_unreachable',
    45: 'log_unreachable',
    46: 'log_unreachable',
    42: undefined,
  };
  for (const [code, expected] of Object.entries(codes)) {
    assert.equal(codeOf(answered(Number(code))), expected, code);
  }
});

test('of several answers the one that lasts counts', () => {
  const refused = answered(55, 29);
  assert.equal(isPassing(refused), false);
  assert.equal(codeOf(refused), 'log_refuses');
  assert.equal(isPassing(answered(6, 55)), true);
});

test('a connection that is lost may come back, a login that failed does not', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { syscall: 'connect' });
  const lost = new NetworkError('Connection to x failed.', { cause: refused });
  assert.equal(isPassing(lost), true);
  assert.equal(codeOf(lost), 'log_unreachable');
  assert.match(String(logError(lost, {})), /ECONNREFUSED/);

  const wrong = new ProtocolError(58, 'Invalid credentials');
  const denied = new NetworkError('Connection to x failed.', {
    cause: new AuthenticationError('SASL authentication failed.', { cause: wrong }),
  });
  assert.equal(isPassing(denied), false);
  assert.equal(codeOf(denied), 'log_login_failed');
  assert.match(String(logError(denied, {})), /Invalid credentials/);
});

test('what nobody foresaw stays as it is', () => {
  const bug = new TypeError('x is not a function');
  assert.equal(isPassing(bug), false);
  assert.equal(logError(bug, {}), bug);
});
