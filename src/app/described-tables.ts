import { readTables } from '../adapters/postgres/catalogue.ts';
import { type ColumnFacts, readColumnFacts } from '../adapters/postgres/column-facts.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';
import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import type { ConnectorConfig, ConnectorEngine } from '../capture/connector-config.ts';
import { copiedShape, topicName } from '../capture/relation-registry.ts';
import { keyNamesOf } from '../capture/relation.ts';
import { valueTypeOf, type ValueType } from '../capture/value-type.ts';
import { MillraceError } from '../domain/errors.ts';
import type { Table } from '../ports/change-source.ts';

/** A captured table, with what its records hold. */
export type DescribedTable = Readonly<{
  schema: string;
  name: string;
  topic: string;
  /** Names of the key's columns, in key order; empty without a key. */
  key: readonly string[];
  columns: readonly DescribedColumn[];
  /** Updates and deletes carry the whole old row. */
  hasOldRows: boolean;
  /** From the planner's statistics; -1 when never analysed. */
  estimatedRows: number;
}>;

export type DescribedColumn = Readonly<{
  name: string;
  /** As PostgreSQL writes it, such as `numeric(10,2)`. */
  sqlType: string;
  type: ValueType | Readonly<{ labels: readonly string[] }>;
  isNullable: boolean;
  /** As text: what rows have that are older than the column, whose default PostgreSQL did not write into them. */
  missing?: string;
  /** Older rows may have a value of its default, each its own, that PostgreSQL wrote into them and told nobody. */
  isFilled?: true;
  /** What it keeps under any name: the OID of its table, and its place there. */
  number?: Readonly<{ table: number; column: number }>;
}>;

/**
 * The tables that a connector of this configuration captures, in the order of its copies. Throws
 * `source_not_ready` when there is none, `topic_collision` when two share a topic.
 */
export async function describeTables(
  connection: ConnectionFacts,
  config: Pick<ConnectorConfig, 'tables' | 'topicPrefix' | 'options'>,
  engine: ConnectorEngine,
): Promise<readonly DescribedTable[]> {
  await using client = await PostgresClient.connect(connection);
  const [tables, facts] = await client.transaction(async (query) => {
    const captured = (await readTables(query))
      .filter(({ schema, name }) => config.tables.matches(schema, name))
      .toSorted((a, b) => config.tables.compare(a, b));
    const columns = await readColumnFacts(
      query,
      captured.map(({ oid }) => oid),
    );
    return [captured, columns] as const;
  }, 'ISOLATION LEVEL REPEATABLE READ READ ONLY');
  if (tables.length === 0)
    throw new MillraceError('source_not_ready', {
      expected: `tables that connector.json names, in ${connection.database} on ${connection.host}`,
      found: 'none',
    });
  const factsOf = new Map(facts.map((each) => [`${each.table} ${each.column}`, each]));
  const described = tables.map((table) =>
    describe(table, config, engine, (column) => factsOf.get(`${table.oid} ${column}`)),
  );
  refuseSharedTopics(described);
  return described;
}

function describe(
  table: Table,
  config: Pick<ConnectorConfig, 'topicPrefix' | 'options'>,
  engine: ConnectorEngine,
  factsOf: (column: string) => ColumnFacts | undefined,
): DescribedTable {
  const { schema, name, replicaIdentity, estimatedRows } = table;
  return {
    schema,
    name,
    topic: topicName(config.topicPrefix, schema, name),
    key: keyNamesOf(copiedShape(table), table, undefined),
    hasOldRows: replicaIdentity === 'full',
    estimatedRows,
    columns: table.columns
      // No publication that capture makes sends them.
      .filter(({ isGenerated }) => !isGenerated)
      .map((column) => {
        const { isNotNull, labels, missing, isFilled, number } = factsOf(column.name) ?? {};
        return {
          name: column.name,
          sqlType: column.typeName,
          type: labels === undefined ? valueTypeOf(column.typeOid, config, engine) : { labels },
          isNullable: isNotNull !== true,
          ...(missing !== undefined && { missing }),
          ...(isFilled === true && { isFilled }),
          ...(number !== undefined && { number: { table: table.oid, column: number } }),
        };
      }),
  };
}

function refuseSharedTopics(tables: readonly DescribedTable[]): void {
  const byTopic = Map.groupBy(tables, ({ topic }) => topic);
  for (const [topic, sharing] of byTopic)
    if (sharing.length > 1)
      throw new MillraceError('topic_collision', {
        topic,
        tables: sharing.map(({ schema, name }) => `"${schema}"."${name}"`).join(' and '),
      });
}
