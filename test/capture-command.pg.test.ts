import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { CommandLine, eventually, jsonLines } from './command-line.ts';
import { temporaryPostgres, type TemporaryPostgres } from './postgres.ts';

type Row = Record<string, unknown> | null;
type Event = Readonly<{ op: string; before: Row; after: Row }>;

let server: TemporaryPostgres;
let client: PostgresClient;
before(async () => {
  server = await temporaryPostgres();
  client = await PostgresClient.connect(server);
});
after(async () => {
  await client[Symbol.asyncDispose]();
  await server.stop();
});

/** A connector's file for the tables given, whose slot and topics have the name given. */
async function connectorFile(cli: CommandLine, name: string, tables: string): Promise<string> {
  const file = join(cli.folder, `${name}.json`);
  const config = {
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'plugin.name': 'pgoutput',
    'database.hostname': server.host,
    'database.port': server.port,
    'database.user': server.user,
    'database.password': server.password,
    'database.dbname': server.database,
    'topic.prefix': name,
    'slot.name': name,
    'publication.name': name,
    'publication.autocreate.mode': 'filtered',
    'table.include.list': tables,
    'decimal.handling.mode': 'string',
    'time.precision.mode': 'isostring',
  };
  await writeFile(file, JSON.stringify({ name, config }));
  return file;
}

/** Until the slot is confirmed up to all that was committed before. */
async function untilCaptured(slot: string): Promise<void> {
  const [row] = await client.query('select pg_current_wal_flush_lsn() as lsn');
  await eventually('captured', async () => {
    const found = await client.query(
      'select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn >= $2',
      [slot, row?.['lsn']],
    );
    return found.length > 0;
  });
}

/** Of the records that are no tombstones, in the log's order. */
async function events(cli: CommandLine, topic: string): Promise<[key: unknown, Event][]> {
  const records = jsonLines(await cli.succeed('consume', topic, '--until-end', '--json'));
  return records
    .filter(({ value }) => value !== null)
    .map(({ key, value }) => [key, value as Event]);
}

const summaryOf = ([key, { op, after, before: row }]: [unknown, Event]): string =>
  `${JSON.stringify(key)} ${op} ${JSON.stringify(after ?? row)}`;

describe('millrace capture', () => {
  test('ends when idle; what it captured is read with nothing running; resumes without doubles', async () => {
    await client.query('create table items (id int primary key, name text)');
    await client.query(`insert into items values (1, 'one'), (2, 'two')`);
    await using cli = await CommandLine.make();
    const file = await connectorFile(cli, 'alone', 'public.items');
    const capture = ['capture', '--connector', file, '--until-idle', '500ms'];
    await cli.succeed(...capture);
    await client.query(`update items set name = 'deux' where id = 2`);
    await client.query(`insert into items values (3, 'three')`);
    await cli.succeed(...capture);
    await cli.succeed(...capture);
    const topics = jsonLines(await cli.succeed('topics', '--json'));
    assert.ok(topics.some(({ topic, records }) => topic === 'alone.public.items' && records === 4));
    assert.deepEqual((await events(cli, 'alone.public.items')).map(summaryOf), [
      '{"id":1} r {"id":1,"name":"one"}',
      '{"id":2} r {"id":2,"name":"two"}',
      '{"id":2} u {"id":2,"name":"deux"}',
      '{"id":3} c {"id":3,"name":"three"}',
    ]);
  });

  test('captures a table without a primary key, under null keys', async () => {
    await client.query('create table notes (note text)');
    await client.query('alter table notes replica identity full');
    await client.query(`insert into notes values ('copied')`);
    await using cli = await CommandLine.make();
    const file = await connectorFile(cli, 'keyless', 'public.notes');
    const running = cli.start('capture', '--connector', file);
    await running.until(/streaming/);
    await client.query(`insert into notes values ('streamed')`);
    await client.query(`update notes set note = 'changed' where note = 'streamed'`);
    await untilCaptured('keyless');
    running.kill('SIGINT');
    assert.equal((await running.ended).exitCode, 0);
    assert.deepEqual((await events(cli, 'keyless.public.notes')).map(summaryOf), [
      'null r {"note":"copied"}',
      'null c {"note":"streamed"}',
      'null u {"note":"changed"}',
    ]);
  });

  test('follows a table that is altered, and goes on when another is dropped', async () => {
    await client.query('create table kept (id int primary key, a text)');
    await client.query('create table dropped (id int primary key)');
    await using cli = await CommandLine.make();
    const file = await connectorFile(cli, 'altered', 'public.kept,public.dropped');
    const running = cli.start('capture', '--connector', file);
    await running.until(/streaming/);
    await client.query(`insert into kept values (1, 'x'); insert into dropped values (1)`);
    await client.query(
      `alter table kept add column b int default 7; alter table kept drop column a`,
    );
    await client.query('insert into kept values (2, 8)');
    await client.query('drop table dropped');
    await client.query('insert into kept values (3, 9)');
    await untilCaptured('altered');
    running.kill('SIGINT');
    assert.equal((await running.ended).exitCode, 0);
    assert.deepEqual((await events(cli, 'altered.public.kept')).map(summaryOf), [
      '{"id":1} c {"id":1,"a":"x"}',
      '{"id":2} c {"id":2,"b":8}',
      '{"id":3} c {"id":3,"b":9}',
    ]);
    assert.equal((await events(cli, 'altered.public.dropped')).length, 1);
    await cli.succeed('capture', '--connector', file, '--until-idle', '300ms');
  });

  test('waits while the disk is full, then goes on, with nothing lost or doubled', async (t) => {
    await using cli = await CommandLine.make();
    await mkdir(cli.dataDir);
    try {
      execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=18m,mode=711', 'tmpfs', cli.dataDir], {
        stdio: 'ignore',
      });
    } catch {
      t.skip('only root may mount a small disk');
      return;
    }
    try {
      await client.query('create table bulky (id int primary key, v text)');
      const file = await connectorFile(cli, 'bulky', 'public.bulky');
      const running = cli.start('capture', '--connector', file);
      await running.until(/streaming/);
      await client.query(
        `insert into bulky select n, (select string_agg(md5(n || '.' || i), '') from generate_series(1, 100) i) from generate_series(1, 2000) n`,
      );
      await running.until(/connector failed: disk_full.*is tried again/);
      execFileSync('/bin/mount', ['-o', 'remount,size=256m', cli.dataDir]);
      await running.until(/connector works again/);
      await client.query(`insert into bulky values (0, 'last')`);
      running.kill('SIGINT');
      assert.equal((await running.ended).exitCode, 0);
      await cli.succeed('capture', '--connector', file, '--until-idle', '300ms');
      const ids = (await events(cli, 'bulky.public.bulky')).map(
        ([, { after: row }]) => row?.['id'],
      );
      assert.deepEqual(ids, [...Array.from({ length: 2000 }, (_, n) => n + 1), 0]);
    } finally {
      execFileSync('/bin/umount', ['--lazy', cli.dataDir]);
    }
  });
});
