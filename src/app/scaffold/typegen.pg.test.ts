import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { captured, capturing, connectorConfig, recordsOf, until } from '../../../test/capture.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../../test/postgres.ts';
import { STREAMED, TYPES, typedRows, typedTable } from '../../../test/stack/every-type.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { PostgresClient } from '../../adapters/postgres/client.ts';
import { decodeChange, type Change } from '../../domain/envelope.ts';
import { describeTables } from '../described-tables.ts';
import { tablesModule } from './tables-module.ts';
import { typegen, type TypegenOptions } from './typegen.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SHOP = join(ROOT, 'pipelines/shop');

/** What the native connector writes as PostgreSQL's text. */
const AS_TEXT: typeof TYPES = [
  ['integer[]', `'{1,null,3}'`],
  ['text[][]', `'{{a,b},{c,d}}'`],
  ['every.mood[]', `'{sad}'`],
  ['numeric[]', `'{1.50}'`],
  ['interval', `'1 year 2 days 03:04:05.6'`],
  ['money', `12.5`],
  ['bit(3)', `B'101'`],
  ['varbit', `B'1'`],
  ['point', `'(1,2)'`],
  ['every.small', '5'],
  ['every.feeling', `'happy'`],
  ['every.pair', `'(1,a)'`],
  ['int4multirange', `'{[1,3)}'`],
  ['xid8', `'7'`],
  ['pg_lsn', `'0/16B3748'`],
  ['tsquery', `'fat & rat'`],
  ['name', `'x'`],
];

/** Runs the compiler over modules of these texts; resolves to what it says. */
async function compiled(modules: Readonly<Record<string, string>>): Promise<string> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-typegen-'));
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      // Users may publish theirs.
      declaration: true,
      typeRoots: [join(ROOT, 'node_modules/@types')],
      paths: { millrace: [join(ROOT, 'src/domain/table.ts')] },
    },
    include: ['*.ts'],
  };
  await writeFile(join(folder.path, 'tsconfig.json'), JSON.stringify(config));
  const files = { ...modules, 'package.json': JSON.stringify({ type: 'module' }) };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
  return await new Promise((resolve) => {
    execFile(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder.path], (_, out) => resolve(out));
  });
}

describe('typegen', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
    await client.query(await readFile(join(SHOP, 'schema.sql'), 'utf8'));
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const options = (more: Partial<TypegenOptions> = {}): TypegenOptions => ({
    dataDir: join(tmpdir(), 'millrace-of-nobody'),
    pipelineDir: SHOP,
    connector: 'connector.json',
    env: {
      POSTGRES_HOST: server.host,
      POSTGRES_PORT: String(server.port),
      POSTGRES_USER: server.user,
      POSTGRES_PASSWORD: server.password,
      POSTGRES_DB: server.database,
    },
    out: 'tables.ts',
    check: true,
    ...more,
  });
  const signal = new AbortController().signal;

  test('every value that capture writes, of every type, is of the type that is written for it', async () => {
    const types = [...TYPES, ...STREAMED, ...AS_TEXT];
    await client.query(`
      create schema every;
      create domain every.amount as numeric(10, 2);
      create domain every.short_text as varchar(10);
      create domain every.small as int;
      create type every.mood as enum ('sad', 'it''s "so"', 'happy');
      create domain every.feeling as every.mood;
      create type every.pair as (a int, b text);
      ${typedTable('every.things', types)};
      create table every.long_ones (
        a bigint, b every.mood, plain int not null, id serial, made int generated always as (plain + 1) stored,
        body text not null, doc jsonb not null, list int[] not null, bytes bytea not null, primary key (a, b));
      alter table every.long_ones alter body set storage external, alter doc set storage external,
        alter list set storage external, alter bytes set storage external;
      create table every.unkeyed (v int)`);
    await client.query(typedRows('every.things', types, 0));
    const log = new MemoryEventLog();
    const config = {
      'schema.include.list': 'every',
      'slot.name': 'every',
      'publication.name': 'every',
    };
    const { stop } = await capturing(server, log, config);
    await client.query(typedRows('every.things', types, 100));
    await client.query(`
      insert into every.long_ones (a, b, plain, body, doc, list, bytes)
        select 9007199254740993, 'sad', 1, repeat('x', 9000), jsonb_build_array(repeat('x', 9000)),
          array_agg(n), decode(repeat('ab', 9000), 'hex') from generate_series(1, 3000) n;
      update every.long_ones set plain = 2;
      delete from every.long_ones;
      insert into every.unkeyed values (null)`);
    await until(async () => (await captured(log)).length >= 2 * rowsOf(types) + 5);
    await stop();

    const parsed = connectorConfig(server, config);
    const tables = await describeTables(server, parsed, 'native');
    const { placeholder } = parsed;
    const text = tablesModule(tables, { millrace: 'millrace', placeholder });
    const things = await changesOf(log, 'things');
    const long = await changesOf(log, 'long_ones');
    const after = (changes: readonly Change[]) =>
      changes.flatMap(({ after: row }) => (row === null ? [] : [row]));
    assert.equal(after(things).length, 2 * rowsOf(types));
    assert.ok(after(long).some((row) => row['doc'] === placeholder && row['list'] === placeholder));
    assert.deepEqual(long[0]?.key, { a: '9007199254740993', b: 'sad' });
    const check = `
      import type { LongOne, LongOneKey, Thing, ThingKey, Unkeyed } from './tables.ts';
      import { longOnes, unkeyed } from './tables.ts';
      export const things: readonly Thing[] = ${JSON.stringify(after(things))};
      export const thingKeys: readonly ThingKey[] = ${JSON.stringify(keysOf(things))};
      export const long: readonly LongOne[] = ${JSON.stringify(after(long))};
      export const longKeys: readonly LongOneKey[] = ${JSON.stringify(keysOf(long))};
      export const rows: readonly Unkeyed[] = ${JSON.stringify(after(await changesOf(log, 'unkeyed')))};
      export const topics: readonly string[] = [longOnes.topic, unkeyed.topic];
      export const misspelt = (row: LongOne) => [
        // @ts-expect-error There is no such column.
        row.plian,
        // @ts-expect-error A generated column is not captured.
        row.made,
      ];
      // @ts-expect-error No row has this value.
      export const mood: Thing['c${types.findIndex(([type]) => type === 'every.mood')}'] = 'angry';
    `;
    assert.equal(await compiled({ 'tables.ts': text, 'check.ts': check }), '');
  });

  test("the shop's tables.ts is what typegen writes", async () => {
    const { found, difference, tables } = await typegen(options(), signal);
    assert.deepEqual({ found, difference }, { found: 'same', difference: undefined });
    assert.equal(tables.length, 5);
  });

  test('writes a file that is missing or differs, and names the line in a check', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-typegen-'));
    await writeFile(
      join(folder.path, 'mine.json'),
      await readFile(join(SHOP, 'connector.json'), 'utf8'),
    );
    const here = options({ pipelineDir: folder.path, connector: 'mine.json' });
    const write = options({ ...here, check: false });
    assert.equal((await typegen(here, signal)).found, 'missing');
    const { found, file } = await typegen(write, signal);
    assert.equal(found, 'missing');
    assert.equal((await typegen(here, signal)).found, 'same');
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace('phone: string | null', 'phone: string'),
    );
    const { difference } = await typegen(here, signal);
    assert.deepEqual(
      [difference?.expected.trim(), difference?.found.trim()],
      ['phone: string | null;', 'phone: string;'],
    );
    assert.equal((await typegen(write, signal)).found, 'different');
    assert.match(await readFile(file, 'utf8'), /^\/\/ Generated by .*\nimport .* from 'millrace';/);
    assert.equal((await typegen(here, signal)).found, 'same');
  });

  test('says so when the configuration captures nothing, and where the file is not the users', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-typegen-'));
    const file = await readFile(join(SHOP, 'connector.json'), 'utf8');
    await writeFile(join(folder.path, 'connector.json'), file.replaceAll('public.', 'other.'));
    const pipelineDir = folder.path;
    await assert.rejects(typegen(options({ pipelineDir }), signal), { code: 'source_not_ready' });
    const installed = join(folder.path, 'node_modules/millrace/pipelines/shop');
    const check = options({ pipelineDir: installed });
    await assert.rejects(typegen(check, signal), { code: 'usage' });
  });
});

function rowsOf(types: typeof TYPES): number {
  return Math.max(...types.map((type) => type.length - 1)) + 1;
}

function keysOf(changes: readonly Change[]): unknown[] {
  return changes.map(({ key }) => key);
}

/** As processors are given them. */
async function changesOf(log: MemoryEventLog, table: string): Promise<Change[]> {
  const topic = `test_server.every.${table}`;
  const records = await recordsOf(log, topic);
  return records.flatMap((record) => decodeChange(topic, 0, record) ?? []);
}
