import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import { openConnection, sourceError } from './connection.ts';
import type { Attempt } from './connection.ts';

const FACTS = { host: 'db', port: 5432, database: 'shop', user: 'ann', password: 'secret-1' };

const failure = (code: string, message = 'as the server says it') =>
  Object.assign(new Error(message), { code });

const codeOf = (error: unknown, attempt?: Attempt) => {
  const named = sourceError(error, FACTS, attempt);
  return named instanceof MillraceError ? named.code : undefined;
};

describe('sourceError', () => {
  for (const [code, expected] of [
    ['ECONNREFUSED', 'source_unreachable'],
    ['ENOTFOUND', 'source_unreachable'],
    ['57P01', 'source_unreachable'],
    ['57P03', 'source_unreachable'],
    ['08006', 'source_unreachable'],
    ['53300', 'source_unreachable'],
    ['28P01', 'source_login_failed'],
    ['28000', 'source_login_failed'],
    ['3D000', 'source_login_failed'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'source_login_failed'],
    ['42P01', undefined],
    ['57014', undefined],
  ] as const) {
    test(`names ${code} ${expected ?? 'nothing: it is no failure of the source'}`, () => {
      assert.equal(codeOf(failure(code)), expected);
    });
  }

  test('names what befell a slot only where there was one', () => {
    const slot: Attempt = { purpose: 'start replication', slot: 'shop' };
    assert.equal(codeOf(failure('55006'), slot), 'slot_in_use');
    assert.equal(codeOf(failure('42704'), slot), 'slot_missing');
    const undecodable = failure('XX000', 'could not map filenumber "base/5/16500" to relation OID');
    assert.equal(codeOf(undecodable, slot), 'slot_undecodable');
    assert.equal(codeOf(failure('42710'), slot), 'slot_exists');
    assert.equal(codeOf(failure('58P01'), slot), 'slot_lost');
    assert.equal(codeOf(failure('55006')), undefined);
  });

  test('says the purpose and the SQL of what was refused, and keeps the cause', () => {
    const cause = failure('42501', 'permission denied');
    const named = sourceError(cause, FACTS, { purpose: 'publish', sql: 'CREATE PUBLICATION p' });
    assert.ok(named instanceof MillraceError);
    assert.equal(named.code, 'source_not_ready');
    assert.match(named.message, /purpose publish, sql CREATE PUBLICATION p/);
    assert.equal(named.cause, cause);
    assert.doesNotMatch(named.message, /secret-1/);
  });

  test('leaves an error that has a name as it is', () => {
    const named = new MillraceError('slot_lost');
    assert.equal(sourceError(named, FACTS), named);
  });
});

test('a root certificate that cannot be read is a mistake in the configuration', async () => {
  await assert.rejects(
    openConnection({ ...FACTS, sslmode: 'verify-ca', sslrootcert: '/nowhere/ca.crt' }),
    (error: unknown) => error instanceof MillraceError && error.code === 'config_invalid',
  );
});
