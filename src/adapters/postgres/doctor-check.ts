/** One thing that capture needs of a server. */
export type Check = Readonly<{
  name: string;
  /** `warning`: works, but an operator should know. */
  ok: boolean | 'warning';
  expected: string;
  found: string;
  /** What mends it: SQL for somebody with the rights, or an instruction in words after `--`. */
  fix?: string;
}>;

/** What a connector's configuration asks of its source. */
export type SourceNeeds = Readonly<{
  slot: string;
  publication: string;
  publicationMode: 'all_tables' | 'filtered' | 'disabled';
  tables: Readonly<{ matches(schema: string, table: string): boolean }>;
}>;
