import { renderSql } from '../models/template.ts';
import { sqlIdentifier, sqlLiteral, sqlTimestamp } from '../models/literal.ts';
import type { ModelTest, RenderContext } from '../models/model.ts';

/** Failing rows of a test that are kept to look at. */
export const KEPT_ROWS = 1000;

/**
 * A test of `model` as one SELECT, for every engine, of the rows that should not be: none when it
 * passes. They are rows of the model as they stand where that says what is wrong; else what was
 * counted.
 */
export function failingRowsSql(test: ModelTest, model: string, context: RenderContext): string {
  const from = context.relationOf(model);
  switch (test.kind) {
    case 'unique':
      return duplicates(test.columns.map(sqlIdentifier), from);
    case 'not_null':
      return `SELECT * FROM ${from} WHERE ${sqlIdentifier(test.column)} IS NULL`;
    case 'accepted_values': {
      const column = sqlIdentifier(test.column);
      const values = test.values.map(sqlLiteral).join(', ');
      return `SELECT * FROM ${from} WHERE ${column} IS NOT NULL AND ${column} NOT IN (${values})`;
    }
    case 'relationships': {
      const column = sqlIdentifier(test.column);
      const to =
        'ref' in test.to
          ? context.relationOf(test.to.ref)
          : context.sourceRelationOf(test.to.source);
      return `SELECT child.* FROM ${from} AS child ANTI JOIN ${to} AS parent ON parent.${sqlIdentifier(test.field)} = child.${column} WHERE child.${column} IS NOT NULL`;
    }
    case 'expression':
      return `SELECT * FROM ${from} WHERE NOT (\n${renderSql(test.expression, context)}\n)`;
    case 'row_count': {
      const { min = 0, max } = test;
      const tooMany = max === undefined ? '' : ` OR row_count > ${max}`;
      return `SELECT row_count FROM (SELECT COUNT(*) AS row_count FROM ${from}) AS counted WHERE row_count < ${min}${tooMany}`;
    }
    case 'freshness': {
      const newest = `MAX(CAST(${sqlIdentifier(test.column)} AS TIMESTAMP))`;
      const oldest = sqlTimestamp(context.runStartedAtMs - test.maxAgeSeconds * 1000);
      return `SELECT newest FROM (SELECT ${newest} AS newest FROM ${from}) AS found WHERE newest IS NULL OR newest < ${oldest}`;
    }
    case 'sql':
      return renderSql(test.sql, context);
    default:
      return test satisfies never;
  }
}

/** As in SQL's UNIQUE, a null is like no other value. */
function duplicates(columns: readonly string[], from: string): string {
  const list = columns.join(', ');
  const known = columns.map((column) => `${column} IS NOT NULL`).join(' AND ');
  return `SELECT ${list}, COUNT(*) AS __rows FROM ${from} WHERE ${known} GROUP BY ${list} HAVING COUNT(*) > 1`;
}
