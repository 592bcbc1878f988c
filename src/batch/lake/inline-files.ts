import type { FileRelation } from '../../ports/warehouse.ts';
import { sqlIdentifier, sqlString } from '../models/literal.ts';
import type { TableRelation } from './table-relation.ts';

/** One SELECT for an SqlEngine that needs nothing beside: its files are read in place. */
export function inlineFiles({ relations, sql }: TableRelation): string {
  const files = relations.map(
    (relation) => `${sqlIdentifier(relation.name)} AS NOT MATERIALIZED (${selectFrom(relation)})`,
  );
  return `WITH ${files.join(',\n')}\nSELECT * FROM (\n${sql}\n)`;
}

function selectFrom({ files, columns }: FileRelation): string {
  if (files.length === 0) {
    const nulls = columns.map(
      ({ name, type }) => `CAST(NULL AS ${type}) AS ${sqlIdentifier(name)}`,
    );
    return `SELECT ${nulls.join(', ')} WHERE FALSE`;
  }
  const names = columns.map(({ name }) => sqlIdentifier(name)).join(', ');
  // Folders named day=… are no column.
  return `SELECT ${names} FROM read_parquet([${files.map(sqlString).join(', ')}], hive_partitioning = false)`;
}
