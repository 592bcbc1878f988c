import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { auditOf, auditStatement } from './audit.ts';

const content = (text: string) => Buffer.from(text);

describe('auditStatement', () => {
  test('is one statement with the facts as JSON', () => {
    assert.deepEqual(auditStatement({ actor: 'jane', reason: 'refund' }), {
      text: 'SELECT pg_logical_emit_message(true, $1, $2)',
      values: ['audit', '{"actor":"jane","reason":"refund"}'],
    });
  });

  test('refuses what has no actor, is too long, or is no JSON', () => {
    const refused = [
      { actor: '' },
      { actor: 7 as unknown as string },
      { actor: 'a', filler: 'x'.repeat(65_536) },
      { actor: 'a', order: 4711n },
    ];
    for (const audit of refused)
      assert.throws(() => auditStatement(audit), { code: 'audit_invalid' });
    assert.throws(() => auditStatement({ actor: 'a', filler: 'x'.repeat(65_536) }), {
      facts: { expected: 'at most 65536 bytes as JSON', found: '65561 bytes' },
    });
  });
});

describe('auditOf', () => {
  test('gives back what was said', () => {
    const audit = { actor: 'jane', reason: 'refund', order: 4711 };
    assert.deepEqual(auditOf(content(auditStatement(audit).values[1] ?? '')), audit);
  });

  test('takes plain text, and JSON that is no object, for the actor', () => {
    for (const text of ['jane', 'jane@example.com', '4711', '["jane"]', '{"actor"'])
      assert.deepEqual(auditOf(content(text)), { actor: text });
    assert.deepEqual(auditOf(content('')), {});
  });

  test('shows an actor that is no text as JSON, and none where none is named', () => {
    assert.deepEqual(auditOf(content('{"actor":{"id":7}}')), { actor: '{"id":7}' });
    assert.deepEqual(auditOf(content('{"reason":"x","actor":null}')), { reason: 'x' });
  });
});
