/** Which tables are captured: Debezium's include and exclude lists. */
export class TableFilter {
  readonly #includeTables: RegExp | undefined;
  readonly #excludeTables: RegExp | undefined;
  readonly #includeSchemas: RegExp | undefined;
  readonly #excludeSchemas: RegExp | undefined;

  private constructor(
    includeTables: RegExp | undefined,
    excludeTables: RegExp | undefined,
    includeSchemas: RegExp | undefined,
    excludeSchemas: RegExp | undefined,
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
      expression('table.include.list', lists.includeTables, problems),
      expression('table.exclude.list', lists.excludeTables, problems),
      expression('schema.include.list', lists.includeSchemas, problems),
      expression('schema.exclude.list', lists.excludeSchemas, problems),
    );
  }

  matches(schema: string, table: string): boolean {
    const name = `${schema}.${table}`;
    return (
      (this.#includeSchemas?.test(schema) ?? true) &&
      !(this.#excludeSchemas?.test(schema) ?? false) &&
      (this.#includeTables?.test(name) ?? true) &&
      !(this.#excludeTables?.test(name) ?? false)
    );
  }
}

function expression(
  option: string,
  list: string | undefined,
  problems: string[],
): RegExp | undefined {
  if (list === undefined || list.trim() === '') return undefined;
  const parts = list.split(/(?<!\\),/).map((part) => part.trim());
  try {
    return new RegExp(`^(?:${parts.map((part) => `(?:${part})`).join('|')})$`, 'i');
  } catch (error) {
    problems.push(`${option}: expected regular expressions, found "${list}" (${String(error)})`);
    return undefined;
  }
}
