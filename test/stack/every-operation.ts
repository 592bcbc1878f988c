import { seededRandom } from '../random.ts';
import { STREAMED, typedRows, typedTable, TYPES } from './every-type.ts';

/** One statement after another, over two sessions: their transactions overlap, and never wait for each other. */
export type Step =
  | Readonly<{ session: 'a' | 'b'; sql: string }>
  /** All that was committed must be captured before what comes next: a table is altered. */
  | 'caught up';

const LONG = `(select string_agg(md5(i::text), '') from generate_series(1, 300) i)`;

/** Tables of every identity and kind of key, with some rows; what connectors copy. */
export const EVERY_TABLE = `
  create schema every;
  create type every.mood as enum ('sad', 'ok', 'happy');
  create domain every.short_text as text;
  create domain every.amount as numeric(12, 3);

  create table every.plain (id int primary key, v text, n numeric(10, 2), long text, small bytea);
  alter table every.plain alter long set storage external;
  create table every.whole (like every.plain including all);
  alter table every.whole replica identity full;
  create table every.composite (a int, v text, b text, n bigint, primary key (b, a));
  create table every.indexed (a int not null, b text not null, v text, long text);
  create unique index indexed_identity on every.indexed (b, a);
  alter table every.indexed replica identity using index indexed_identity;
  create table every.held (id int primary key, code text not null, v text);
  create unique index held_identity on every.held (code, id);
  alter table every.held replica identity using index held_identity;
  create table every.keyless (v text, n int);
  create table every.keyless_whole (v text, n int);
  alter table every.keyless_whole replica identity full;
  create table every.nothing (id int primary key, v text);
  alter table every.nothing replica identity nothing;
  create table every.parted (id int, region text, v text, primary key (id, region))
    partition by list (region);
  create table every.parted_north partition of every.parted for values in ('north');
  create table every.parted_south partition of every.parted for values in ('south');
  create table every.emptied (id serial primary key, v text);
  create table every.emptied_too (id int primary key, emptied int references every.emptied);
  create table every.altered (id int primary key, v text, n numeric(10, 2));
  create table every."Odd ""name"" . é" (id int primary key, "a ""b"" . ü" text, "日本" int);
  create table every."AA empty" (id int primary key);
  create table every.unique_only (v text, a int not null unique);
  create table every.unique_whole (v text, a int not null, b int not null, c int unique, unique (b, a));
  alter table every.unique_whole replica identity full;
  create table every.deferrable (id int primary key deferrable, v text);
  alter table every.deferrable replica identity full;
  create table every.caught_up (id int primary key);

  insert into every.plain select i, 'copied ' || i, i / 3.0, case i when 2 then ${LONG} end, '\\x00ff'
    from generate_series(1, 9) i;
  insert into every.whole select * from every.plain;
  insert into every.composite select i, null, 'b' || i % 3, i * 10000000000 from generate_series(1, 9) i
    order by 3, 1;
  insert into every.indexed select i, 'b' || i, 'copied' from generate_series(1, 9) i;
  insert into every.held select i, 'c' || i, 'copied' from generate_series(1, 9) i;
  insert into every.keyless values ('', 1), (null, null), ('twice', 2), ('twice', 2);
  insert into every.keyless_whole table every.keyless;
  insert into every.nothing values (1, 'copied');
  insert into every.parted values (1, 'north', 'copied'), (2, 'south', 'copied');
  insert into every.emptied (v) values ('copied'), ('copied');
  insert into every.altered values (1, 'copied', 1.5);
  ${typedTable('every.typed', TYPES)}
  ${typedTable('every.typed_streamed', STREAMED)}
  ${typedRows('every.typed', TYPES, 0)};
  insert into every.unique_only values ('copied', 1);
  insert into every.unique_whole values ('copied', 1, 1, 1), ('copied', 2, 1, null);
  insert into every.deferrable values (1, 'copied');
  insert into every."Odd ""name"" . é" values (1, '"\\', null);
`;

/** Texts that a codec may stumble over. */
const TEXTS = [
  `''`,
  `'NULL'`,
  `' '`,
  `'\\N'`,
  `E'\\t\\n\\r\\b\\f\\\\"/'`,
  `E'\\x01\\x1f\\x7f'`,
  `'日本語 🎉 ñ'`,
  `repeat('ü', 5000)`,
  `repeat('x', 1000000)`,
  LONG,
  'null',
];

/** A random workload, the same for the same seed. */
export function everyOperation(seed: number): Step[] {
  const next = seededRandom(seed);
  const below = (bound: number) => Math.floor(next() * bound);
  const one = <T>(...of: readonly T[]): T => of[below(of.length)] as T;
  const a = (sql: string): Step => ({ session: 'a', sql });
  const b = (sql: string): Step => ({ session: 'b', sql });
  const text = () => one(...TEXTS);

  /** A statement over rows of one parity, so that two sessions never change the same one. */
  const change = (parity: 0 | 1): string => {
    const id = 2 * below(8) + parity;
    const other = 2 * below(500) + 100 + parity;
    const table = one('every.plain', 'every.whole');
    const code = `'b${one(0, 1, 2)}'`;
    return one(
      () => `insert into ${table} values (${id}, ${text()}, ${below(1000) / 100}, ${text()}, '\\x${one('', '00', 'deadbeef')}')
               on conflict (id) do update set v = excluded.v, n = excluded.n`,
      () => `update ${table} set v = ${text()} where id = ${id}`,
      () => `update ${table} set long = ${text()}, small = null where id = ${id}`,
      () => `update ${table} set v = v where id = ${id}`,
      () => `delete from ${table} where id = ${id}`,
      () =>
        `update ${table} set id = ${other}, v = 'moved' where id = ${id} and not exists (select from ${table} where id = ${other})`,
      () => `update ${table} set id = id where id = ${id}`,
      () =>
        `insert into ${table} (id, v) select ${other + 1000} + 2 * i, 'many' from generate_series(1, ${1 + below(20)}) i on conflict do nothing`,
      () =>
        `insert into every.composite values (${id}, ${text()}, ${code}, ${below(1e9)}) on conflict (b, a) do update set v = excluded.v`,
      () => `update every.composite set n = n + 1 where a = ${id}`,
      () => `update every.composite set b = b || '${below(1e9)}' where a = ${id} and length(b) < 5`,
      () => `delete from every.composite where a = ${id} and b = ${code}`,
      () =>
        `insert into every.indexed values (${id}, 'b', ${text()}, ${text()}) on conflict (b, a) do update set v = excluded.v`,
      () => `update every.indexed set v = ${text()} where a = ${id}`,
      () => `delete from every.indexed where a = ${id}`,
      () =>
        `insert into every.held values (${id}, ${code}, ${text()}) on conflict (id) do update set v = excluded.v`,
      () => `update every.held set v = ${text()} where id = ${id}`,
      () =>
        `update every.held set id = ${other} where id = ${id} and not exists (select from every.held where id = ${other})`,
      () => `delete from every.held where id = ${id}`,
      () => `insert into every.keyless values (${text()}, ${below(3)}), ('twice', 2)`,
      () => `insert into every.keyless_whole values (${text()}, ${id})`,
      () => `update every.keyless_whole set v = ${text()} where n = ${id}`,
      () => `delete from every.keyless_whole where n = ${id}`,
      () => `insert into every.nothing values (${id + 10}, ${text()}) on conflict do nothing`,
      () =>
        `insert into every.parted values (${id}, '${one('north', 'south')}', ${text()}) on conflict (id, region) do update set v = excluded.v`,
      () => `update every.parted set region = case region when 'north' then 'south' else 'north' end where id = ${id}
               and (select count(*) from every.parted where id = ${id}) = 1`,
      () => `delete from every.parted where id = ${id}`,
      () => `insert into every.unique_only values (${text()}, ${id}) on conflict (a) do nothing`,
      () =>
        `insert into every.unique_whole values (${text()}, ${id}, ${below(3)}, null) on conflict (b, a) do update set v = excluded.v`,
      () =>
        `update every.unique_whole set a = ${other} where a = ${id} and not exists (select from every.unique_whole where a = ${other})`,
      () => `delete from every.unique_whole where a = ${id}`,
      () => `select pg_logical_emit_message(true, ${one(`'audit'`, `'"ü'`, `''`)}, ${text()})`,
      () => `select pg_logical_emit_message(false, 'alone', ${text()})`,
      () => `insert into every.deferrable values (${2 * below(5e8) + parity}, ${text()})`,
      () =>
        `update every.deferrable set id = id + 1000000000 where id % 5 = ${below(5)} and id % 2 = ${parity} and id < 1000000000`,
      () =>
        `insert into every."Odd ""name"" . é" values (${id}, ${text()}, ${below(9)}) on conflict (id) do update set "a ""b"" . ü" = ${text()}`,
    )();
  };

  /** Statements of one session, some of them in a savepoint that is or is not given up. */
  const transaction = (parity: 0 | 1): string[] => [
    'begin',
    ...Array.from({ length: 1 + below(4) }, () => change(parity)),
    ...one(
      [],
      ['savepoint s', change(parity), change(parity), 'rollback to savepoint s', change(parity)],
      ['savepoint s', change(parity), 'release savepoint s'],
    ),
    one('commit', 'commit', 'commit', 'rollback'),
  ];

  /** Two transactions, a statement of one here and one of the other there. */
  const overlapping = (): Step[] => {
    const left = [transaction(0), transaction(1)] as const;
    const steps: Step[] = [];
    while (left[0].length + left[1].length > 0) {
      const which =
        left[0].length === 0 ? 1 : left[1].length === 0 ? 0 : one(0 as const, 1 as const);
      steps.push((which === 0 ? a : b)(left[which].shift() ?? ''));
    }
    return steps;
  };

  const emptying = (): Step[] =>
    one(
      [
        a(`insert into every.emptied (v) values (${text()}), ('x')`),
        a('truncate every.emptied_too'),
      ],
      [
        a('begin'),
        a(`insert into every.emptied (id, v) values (1000, ${text()}) on conflict do nothing`),
        a('insert into every.emptied_too values (1, 1000) on conflict do nothing'),
        a('truncate every.emptied cascade'),
        a(`insert into every.emptied (v) values ('after')`),
        a('commit'),
      ],
      [a('truncate every.emptied, every.emptied_too restart identity')],
    );

  const typed = [
    a(typedRows('every.typed', TYPES, 100)),
    a(typedRows('every.typed_streamed', STREAMED, 100)),
    a('update every.typed set id = id + 1000 where id % 2 = 0'),
    a('update every.typed set c0 = 7'),
    a('delete from every.typed where id % 3 = 0'),
    a('delete from every.typed_streamed'),
  ];
  const rounds = Array.from({ length: 12 }, () => [
    ...overlapping(),
    a(change(0)),
    b(change(1)),
    ...emptying(),
  ]);
  return [
    ...typed,
    ...rounds.flat(),
    ...ALTERATIONS.flatMap((sql) => ['caught up' as const, ...sql.map(a), ...overlapping()]),
  ];
}

/** Made while the connectors run. */
export const LATER_TABLES = ['altered_too', 'fresh'];

/** By topic and column, the defaults that columns have had in which null may stand. */
export const NULL_DEFAULTS: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>> =
  {
    'every.altered': { c: [5, '5'] },
    'every.altered_too': { c: ['5'] },
    'every.fresh': { d: ['given'] },
  };

/** A table's life, each alteration with what changes after it. */
const ALTERATIONS: readonly (readonly string[])[] = [
  [
    'alter table every.altered add column c int default 5',
    `insert into every.altered values (2, 'added', 2, 7)`,
    `update every.altered set v = 'again' where id = 1`,
  ],
  [
    'alter table every.altered rename column v to w',
    `insert into every.altered values (3, 'renamed', 3, 8)`,
  ],
  [
    'alter table every.altered alter column c type bigint',
    `insert into every.altered values (4, 'bigger', 3, 8000000000)`,
    'update every.altered set c = null where id = 4',
  ],
  [
    'alter table every.altered alter column c type text',
    `update every.altered set c = 'words' where id = 2`,
  ],
  [
    'alter table every.altered drop column n',
    `insert into every.altered values (5, 'dropped', 'c')`,
  ],
  [
    'alter table every.altered replica identity full',
    `update every.altered set w = 'whole' where id = 5`,
    'delete from every.altered where id = 4',
  ],
  [
    'alter table every.altered drop constraint altered_pkey, add primary key (w, id)',
    `insert into every.altered values (6, 'keyed anew', 'c')`,
    `update every.altered set w = 'moved' where id = 6`,
  ],
  [
    'alter table every.altered rename to altered_too',
    `insert into every.altered_too values (7, 'under another name', null)`,
    'delete from every.altered_too where id = 1',
  ],
  [
    `create table every.fresh (id int primary key, d text default 'given')`,
    'insert into every.fresh (id) values (1)',
    'drop table every.altered_too',
    'delete from every.fresh',
  ],
];
