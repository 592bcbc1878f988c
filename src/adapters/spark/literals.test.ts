import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSparkLiterals } from './literals.ts';

test('escapes what Spark would take for an escape, in literals alone', () => {
  for (const [sql, expected] of [
    ["SELECT 'it''s'", "SELECT 'it\\'s'"],
    ["SELECT 'C:\\new'", "SELECT 'C:\\\\new'"],
    ["SELECT '''', ''", "SELECT '\\'', ''"],
    ['SELECT "it\'\'s \\" FROM t', 'SELECT "it\'\'s \\" FROM t'],
    ["SELECT 1 -- it''s\n, 'a\\b'", "SELECT 1 -- it''s\n, 'a\\\\b'"],
    ["SELECT /* '' \n */ 'a\nb'", "SELECT /* '' \n */ 'a\nb'"],
  ] as const)
    assert.equal(withSparkLiterals(sql), expected);
});
