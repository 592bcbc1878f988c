import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { RenderContext } from './model.ts';
import { parseReference, parseTemplate, renderSql, tagsOf, withoutEnd } from './template.ts';

const context: RenderContext = {
  runStartedAtMs: Date.UTC(2026, 0, 31, 12),
  variables: { days: 30, least: -1.5, name: "O'Hara \\ sons", isOn: true },
  relationOf: (model) => `"${model}"`,
  sourceRelationOf: (source) => `"src__${source}"`,
  affected: (column) => `${column} IN (1)`,
};
const render = (sql: string) => renderSql(sql, context);
const problemsOf = (sql: string, firstLine?: number) =>
  parseTemplate(sql, firstLine).problems.map(({ line, text }) => `${line}: ${text}`);

describe('a template', () => {
  test('names relations', () => {
    assert.equal(
      render(`SELECT * FROM {{ ref('a') }} JOIN {{source("b")}} JOIN {{ source('s', 't') }}`),
      'SELECT * FROM "a" JOIN "src__b" JOIN "src__s.t"',
    );
  });

  test('takes values as literals that both engines read alike', () => {
    assert.equal(
      render(`{{ var('days') }} -{{ var('least') }} {{ var('isOn') }} {{ var('none', 'x') }}`),
      `30 -(-1.5) TRUE 'x'`,
    );
    assert.equal(
      render(`{{ var('name') }}`),
      String.raw`('O' || chr(39) || 'Hara ' || chr(92) || ' sons')`,
    );
    assert.equal(render('{{ run_started_at }}'), "TIMESTAMP '2026-01-31 12:00:00.000'");
    assert.equal(render(`{{ affected('o.id') }}`), 'o.id IN (1)');
  });

  test('keeps every line where it stands', () => {
    const sql = "SELECT 1,\n{{ ref(\n'a'\n) }},\n$$\n{ {\n$$,\n{{ var('days') }}";
    assert.equal(render(sql).split('\n').length, sql.split('\n').length);
    assert.equal(render(sql).split('\n').at(-1), '30');
    assert.deepEqual(
      tagsOf(parseTemplate(sql, 5).template).map(({ kind, line }) => `${kind} ${line}`),
      ['ref 6', 'var 12'],
    );
  });

  test('is left alone in comments, and refused within quotes', () => {
    const sql = `SELECT 1 -- {{ ref('a') }}\n/* {{ {% */`;
    assert.equal(render(sql), sql);
    assert.deepEqual(problemsOf(`SELECT\n '{{ var("a") }}'`), [
      `2: a template within quotes: '{{ var("a") }}'. What it becomes is quoted by itself: write it bare`,
    ]);
  });

  test('says what is wrong with it, and where', () => {
    const [misspelt, bare, noEnd, statement, dbt] = [
      problemsOf(`SELECT\n{{ reff('a') }}`, 10),
      problemsOf('{{ ref(a) }}'),
      problemsOf('SELECT {{ ref('),
      problemsOf('{% if x %}'),
      problemsOf("{{ config(materialized='table') }}"),
    ];
    assert.deepEqual(misspelt, ["11: {{ reff('a') }}: reff is not known; did you mean ref?"]);
    assert.deepEqual(bare, ["1: {{ ref(a) }}: expected {{ ref('model') }}; text stands in quotes"]);
    assert.deepEqual(noEnd, ['1: a template without its end: expected }}']);
    assert.match(String(statement), /^1: \{% is not known: templates are \{\{ ref\('model'\) \}\}/);
    assert.match(String(dbt), /config is not known: settings stand in the header/);
  });

  test('of SQL that has none is the SQL, whatever stands in it', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom("'", '"', '--', '/*', '*/', '$$', '$a$', '\n', '}}', "e'", '\\', '{', 'é😀'),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const sql = pieces.join('').replaceAll(/\{(?=[{%#])/g, '');
        assert.equal(render(sql), sql);
      }),
    );
  });

  test('stands where it stands, whatever comes before it in comments and quotes', () => {
    const closed = fc.oneof(
      fc.string().map((text) => `'${text.replaceAll("'", "''").replaceAll('{', '')}'`),
      fc.string().map((text) => `"${text.replaceAll('"', '""').replaceAll('{', '')}"`),
      fc.string().map((text) => `-- ${text.replaceAll('\n', ' ')}\n`),
      fc.string().map((text) => `/* ${text.replaceAll('*', '')} */`),
      fc.constantFrom(' ', '\n', 'SELECT', '1'),
    );
    fc.assert(
      fc.property(fc.array(closed), (pieces) => {
        const before = pieces.map((piece) => `${piece} `).join('');
        assert.equal(render(`${before}{{ var('days') }}`), `${before}30`);
      }),
    );
  });

  test('loses what would end it', () => {
    assert.equal(withoutEnd("SELECT ';';\n -- ;\n;\n"), "SELECT ';' \n --  \n \n");
    assert.equal(withoutEnd('SELECT 1; SELECT 2'), 'SELECT 1; SELECT 2');
  });

  test('knows references as headers have them', () => {
    assert.deepEqual(parseReference("ref('a')"), { ref: 'a' });
    assert.deepEqual(parseReference("source('s', 't')"), { source: 's.t' });
    assert.equal(parseReference('a'), undefined);
  });
});
