/** A table whose changes the test makes; `key` names its primary key's columns. */
export type CrashTable = Readonly<{ name: string; key: readonly string[] }>;

/** All have REPLICA IDENTITY FULL, so that a change tells the row that it changed. */
export const CRASH_TABLES: readonly CrashTable[] = [
  { name: 'crash_rows', key: ['id'] },
  { name: 'crash_pairs', key: ['a', 'b'] },
  { name: 'crash_truncated', key: ['id'] },
];

/** The shop's; its outbox has the default identity, and rows are only added to it. */
export const SHOP_TABLES: readonly CrashTable[] = [
  'customers',
  'products',
  'orders',
  'order_items',
  'outbox',
].map((name) => ({ name, key: ['id'] }));

/** Tables with rows enough for a copy that lasts. `note` is long now and then, and then lies in TOAST. */
export function crashSchema(copiedRows: number): string {
  return `
    create table crash_rows (id serial primary key, n int not null default 0, note text);
    create table crash_pairs (a int, b text, n int not null default 0, filler text, primary key (a, b));
    create table crash_truncated (id serial primary key, n int not null default 0);
    alter table crash_rows replica identity full;
    alter table crash_rows alter note set storage external;
    alter table crash_pairs replica identity full;
    alter table crash_truncated replica identity full;
    insert into crash_rows (note)
      select repeat('x', case when i % 500 = 0 then 5000 else 200 end) from generate_series(1, ${copiedRows}) i;
    insert into crash_pairs
      select i % 100, chr(97 + i % 26) || i, 0, repeat('ü', 100) from generate_series(1, ${copiedRows}) i;
    insert into crash_truncated (n) select i from generate_series(1, 50) i;`;
}
