import { parseExpressions } from './expression-list.ts';

type TableName = Readonly<{ schema: string; name: string }>;

/** Which tables are captured: Debezium's include and exclude lists. */
export class TableFilter {
  /** One for each part of the list. */
  readonly #includeTables: readonly RegExp[] | undefined;
  readonly #excludeTables: readonly RegExp[] | undefined;
  readonly #includeSchemas: readonly RegExp[] | undefined;
  readonly #excludeSchemas: readonly RegExp[] | undefined;

  private constructor(
    includeTables: readonly RegExp[] | undefined,
    excludeTables: readonly RegExp[] | undefined,
    includeSchemas: readonly RegExp[] | undefined,
    excludeSchemas: readonly RegExp[] | undefined,
  ) {
    this.#includeTables = includeTables;
    this.#excludeTables = excludeTables;
    this.#includeSchemas = includeSchemas;
    this.#excludeSchemas = excludeSchemas;
  }

  /** Lists are comma-separated regular expressions over `schema.table`, or `schema`, each matched whole. */
  static parse(
    lists: Readonly<{
      includeTables?: string | undefined;
      excludeTables?: string | undefined;
      includeSchemas?: string | undefined;
      excludeSchemas?: string | undefined;
    }>,
    problems: string[],
  ): TableFilter {
    if (lists.includeTables && lists.excludeTables)
      problems.push('table.include.list and table.exclude.list: expected one of them, found both');
    if (lists.includeSchemas && lists.excludeSchemas)
      problems.push(
        'schema.include.list and schema.exclude.list: expected one of them, found both',
      );
    return new TableFilter(
      parseExpressions('table.include.list', lists.includeTables, problems),
      parseExpressions('table.exclude.list', lists.excludeTables, problems),
      parseExpressions('schema.include.list', lists.includeSchemas, problems),
      parseExpressions('schema.exclude.list', lists.excludeSchemas, problems),
    );
  }

  matches(schema: string, table: string): boolean {
    const name = `${schema}.${table}`;
    const isIn = (list: readonly RegExp[] | undefined, text: string, otherwise: boolean) =>
      list?.some((part) => part.test(text)) ?? otherwise;
    return (
      isIn(this.#includeSchemas, schema, true) &&
      !isIn(this.#excludeSchemas, schema, false) &&
      isIn(this.#includeTables, name, true) &&
      !isIn(this.#excludeTables, name, false)
    );
  }

  /** The order in which tables are copied: that of the parts of table.include.list, and by name where one part names several. */
  compare(a: TableName, b: TableName): number {
    const [first, second] = [`${a.schema}.${a.name}`, `${b.schema}.${b.name}`];
    const byPart = this.#partOf(first) - this.#partOf(second);
    return byPart !== 0 ? byPart : Number(first > second) - Number(first < second);
  }

  #partOf(name: string): number {
    return this.#includeTables?.findIndex((part) => part.test(name)) ?? 0;
  }
}
