import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connector, connectorConfig, recordsOf, until } from '../../test/capture.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import { parseLsn } from '../domain/lsn.ts';
import { parsePosition } from '../domain/position.ts';
import { must } from '../lib/must.ts';
import { murmur2 } from '../lib/murmur2.ts';
import type { ChangeSource } from '../ports/change-source.ts';
import { captureProducer, type NativeConnector } from './native-connector.ts';

type Row = Record<string, unknown> | null;
type Told = Readonly<{
  partition: number;
  key: string | undefined;
  op: string | undefined;
  before: Row;
  after: Row;
  headers: Readonly<Record<string, string>>;
}>;

const PRODUCER = captureProducer('test');

describe('the native connector', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  /** A capture of the tables of one schema, with a slot, a publication and a log of its own. */
  const capture = (
    schema: string,
    options: Record<string, string> = {},
    { partitions = 1, around = (source: ChangeSource) => source } = {},
  ) => {
    const log = new MemoryEventLog();
    const config = connectorConfig(server, {
      'slot.name': schema,
      'publication.name': schema,
      'publication.autocreate.mode': 'filtered',
      'schema.include.list': schema,
      'skipped.operations': 'none',
      ...options,
    });
    let stopping = new AbortController();
    let running = Promise.resolve();
    let current: NativeConnector | undefined;
    let opened: PostgresSource | undefined;
    const made = () => must(current, 'it was started');
    return {
      made,
      start: async (): Promise<void> => {
        stopping = new AbortController();
        opened = await PostgresSource.open(server);
        current = connector(around(opened), log, config, { partitions });
        running = current.run(stopping.signal);
        running.catch(() => undefined); // `stop` and `ended` tell it
      },
      /** Waits until all that is committed now is in the log, copies included. */
      caughtUp: async (): Promise<void> => {
        const [row] = await client.query('select pg_current_wal_insert_lsn() as lsn');
        const wanted = parseLsn(must(row?.['lsn'], 'there is one'));
        await until(async () => {
          const { state } = made().status();
          if (state === 'failed' || state === 'waiting') await running;
          const { end = 0n, copy } = parsePosition((await log.positionOf(PRODUCER)) ?? '{}');
          return end >= wanted && copy === undefined;
        });
      },
      stop: async (): Promise<void> => {
        stopping.abort();
        try {
          await running;
        } finally {
          await opened?.[Symbol.asyncDispose]();
        }
      },
      /** The failure that ends it. */
      ended: async (): Promise<unknown> => {
        try {
          await running;
        } catch (error) {
          return error;
        } finally {
          await opened?.[Symbol.asyncDispose]();
        }
        return undefined;
      },
      /** What another process meets that runs the same beside. */
      another: async (): Promise<unknown> => {
        await using source = await PostgresSource.open(server);
        const other = connector(source, log, config, { partitions });
        return other.run(AbortSignal.timeout(10_000)).catch((error: unknown) => error);
      },
      told: async (table: string): Promise<Told[]> => {
        const topic = `test_server.${schema}.${table}`;
        const all: Told[] = [];
        for (let partition = 0; partition < partitions; partition += 1)
          for (const { key, value, headers } of await recordsOf(log, topic, partition)) {
            const event = value === null ? {} : (JSON.parse(text(value)) as Partial<Told>);
            const { op, before = null, after = null } = event;
            const own = headers.filter(([name]) => !name.startsWith('__debezium.context'));
            const known = { partition, key: key === null ? undefined : text(key), op };
            all.push({ ...known, before, after, headers: Object.fromEntries(own) });
          }
        return all;
      },
    };
  };

  const isFree = async (name: string): Promise<boolean> => {
    const [slot] = await client.query(
      `select active from pg_replication_slots where slot_name = '${name}'`,
    );
    return slot?.['active'] === 'f';
  };
  const slotIsFree = (name: string) => until(() => isFree(name));

  test('counts every row that it copied, and apart from them what was streamed', async () => {
    await client.query(`
      create schema counted;
      create table counted.three (id int primary key);
      create table counted.one (id int primary key);
      create table counted.none (id int primary key);
      insert into counted.three values (1), (2), (3);
      insert into counted.one values (1)`);
    const { start, caughtUp, stop, made } = capture('counted');
    await start();
    await caughtUp();
    await client.query('insert into counted.one values (2), (3)');
    await caughtUp();
    const { copy = [], changes } = made().status();
    await stop();
    assert.deepEqual(
      copy.map(({ table, rows }) => [table, rows]),
      [
        ['counted.none', 0],
        ['counted.one', 1],
        ['counted.three', 3],
      ],
    );
    assert.equal(changes, 6);
  });

  test('lets the one that has the slot go on when another is started beside', async () => {
    await client.query('create schema beside; create table beside.t (id int primary key)');
    const { start, caughtUp, another, stop, told, made } = capture('beside');
    await start();
    await caughtUp();
    // An empty source is caught up with before the slot is read.
    await until(async () => made().status().state === 'streaming' && !(await isFree('beside')));
    assert.equal(codeOf(await another()), 'slot_in_use');
    await client.query('insert into beside.t values (1)');
    await caughtUp();
    assert.deepEqual(
      (await told('t')).map(({ after }) => after),
      [{ id: 1 }],
    );
    await stop();
  });

  test('takes values that the WAL leaves out from the old row, and else names them as Debezium does', async () => {
    const long = 'x'.repeat(2500);
    await client.query(`
      create schema toast;
      create table toast.known (id int primary key, big text, n int);
      alter table toast.known replica identity full;
      create table toast.unknown (id int primary key, big text, doc jsonb, n int);
      create table toast.keyed (id text primary key, n int);
      alter table toast.known alter big set storage external;
      alter table toast.unknown alter big set storage external, alter doc set storage external;
      alter table toast.keyed alter id set storage external;
      insert into toast.keyed values ('${long}', 1)`);
    const { start, caughtUp, stop, told } = capture('toast');
    await start();
    await caughtUp();
    await client.query(`
      insert into toast.known values (1, '${long}', 1);
      update toast.known set n = 2;
      update toast.known set id = 2;
      insert into toast.unknown values (1, '${long}', jsonb_build_object('a', '${long}'), 1);
      update toast.unknown set n = 2;
      update toast.unknown set id = 2;
      update toast.keyed set n = 2`);
    await caughtUp();
    await stop();
    const known = await told('known');
    assert.deepEqual(
      known.map(({ op, before, after: row }) => [op, before?.['big'] ?? '', row?.['big'] ?? '']),
      [
        ['c', '', long],
        ['u', long, long],
        ['d', long, ''],
        [undefined, '', ''],
        ['c', '', long],
      ],
    );
    const left = '__debezium_unavailable_value';
    assert.deepEqual(
      (await told('unknown')).slice(1).map(({ op, before, after: row }) => [op, before, row]),
      [
        ['u', null, { id: 1, big: left, doc: left, n: 2 }],
        ['d', { id: 1, big: null, doc: null, n: null }, null],
        [undefined, null, null],
        ['c', null, { id: 2, big: left, doc: left, n: 2 }],
      ],
    );
    assert.deepEqual(
      (await told('keyed')).map(({ op, key, after: row }) => [op, key, row]),
      [
        ['r', JSON.stringify({ id: long }), { id: long, n: 1 }],
        ['u', JSON.stringify({ id: long }), { id: long, n: 2 }],
      ],
    );
  });

  test('keys copied and streamed rows alike, by the identity that the table names', async () => {
    await client.query(`
      create schema identity;
      create table identity.indexed (id int primary key, code text not null unique, n int);
      alter table identity.indexed replica identity using index indexed_code_key;
      create table identity.reversed (a int, b text, primary key (b, a));
      create table identity.keyless (v text);
      create table identity.nothing (id int primary key);
      alter table identity.nothing replica identity nothing;
      insert into identity.indexed values (1, 'one', 1);
      insert into identity.reversed values (1, 'x');
      insert into identity.keyless values ('copied');
      insert into identity.nothing values (1)`);
    const { start, caughtUp, stop, told } = capture('identity', {
      'publication.autocreate.mode': 'filtered',
    });
    await start();
    await caughtUp();
    await client.query(`
      update identity.indexed set n = 2;
      update identity.indexed set code = 'two';
      insert into identity.reversed values (2, 'y');
      insert into identity.keyless values ('streamed');
      insert into identity.nothing values (2)`);
    await caughtUp();
    await stop();
    const keys = async (table: string) => (await told(table)).map(({ op, key }) => [op, key]);
    assert.deepEqual(await keys('indexed'), [
      ['r', '{"code":"one"}'],
      ['u', '{"code":"one"}'],
      ['d', '{"code":"one"}'],
      [undefined, '{"code":"one"}'],
      ['c', '{"code":"two"}'],
    ]);
    assert.deepEqual(await keys('reversed'), [
      ['r', '{"b":"x","a":1}'],
      ['c', '{"b":"y","a":2}'],
    ]);
    assert.deepEqual(await keys('keyless'), [
      ['r', undefined],
      ['c', undefined],
    ]);
    assert.deepEqual(await keys('nothing'), [
      ['r', '{"id":1}'],
      ['c', '{"id":2}'],
    ]);
  });

  test('writes the same for a value whether it was copied or streamed, however odd or long', async () => {
    const odd = `repeat(E'\\x01\\x0b\\x0c\\n\\t"\\\\', 100000)`;
    await client.query(`
      create schema odd;
      create table odd.empty (v text);
      create table odd."ü ""q""" ("ké y" text collate "C" primary key, "a.b" timestamp, c text, d date, e text);
      insert into odd.empty values ('')`);
    const rows = `
      (E'\\\\ ''" \\t\\n', 'infinity', 'a bc', '-infinity', ''),
      ('', '-infinity', ' x', 'infinity', null),
      ('ü', '0044-03-15 12:00 BC', ${odd}, null, '\\N')`;
    await client.query(`insert into odd."ü ""q""" values ${rows}`);
    const { start, caughtUp, stop, told } = capture('odd');
    await start();
    await caughtUp();
    await client.query(`delete from odd."ü ""q"""; insert into odd."ü ""q""" values ${rows}`);
    await caughtUp();
    await stop();
    const all = await told('___q_');
    const of = (wanted: string) =>
      all
        .filter(({ op }) => op === wanted)
        .map(({ key, after: row }) => ({ key, row }))
        .toSorted((a, b) => (String(a.key) < String(b.key) ? -1 : 1));
    assert.equal(of('r').length, 3);
    assert.deepEqual(of('r'), of('c'));
    assert.deepEqual(all.find(({ key }) => key === '{"ké y":""}')?.after, {
      'ké y': '',
      'a.b': '-290308-12-21T19:59:27.6Z',
      c: ' x',
      d: '+292278994-08-17Z',
      e: null,
    });
    assert.equal(of('r').at(-1)?.row?.['c'], '\x01\x0b\x0c\n\t"\\'.repeat(100_000));
    assert.deepEqual(
      (await told('empty')).map(({ op, after: row }) => [op, row]),
      [['r', { v: '' }]],
    );
  });

  test('moves every key of a table in one transaction, each record to the partition of its own key', async () => {
    const rows = 20_000;
    await client.query(`
      create schema moved;
      create table moved.t (id int primary key);
      insert into moved.t select generate_series(1, ${rows})`);
    const { start, caughtUp, stop, told } = capture('moved', {}, { partitions: 3 });
    await start();
    await caughtUp();
    await client.query('update moved.t set id = id + 1000000; truncate moved.t');
    await caughtUp();
    await stop();
    const all = await told('t');
    const keyed = all.filter(({ op }) => op !== 't');
    assert.equal(keyed.length, 4 * rows);
    for (const { partition, key = '' } of keyed)
      assert.equal(partition, (murmur2(Buffer.from(key), 0, key.length) & 0x7fffffff) % 3);
    const moved = keyed.find(({ key, op }) => key === '{"id":7}' && op === undefined);
    assert.deepEqual(moved?.headers, { '__debezium.newkey': '{"id":1000007}' });
    assert.deepEqual(
      all.filter(({ op }) => op === 't').map(({ partition }) => partition),
      [0, 1, 2],
    );
  });

  test('leaves out, of a changed key too, the operations that are skipped', async () => {
    await client.query('create schema skipped; create table skipped.t (id int primary key)');
    const { start, caughtUp, stop, told } = capture('skipped', { 'skipped.operations': 'd' });
    await start();
    await caughtUp();
    await client.query('insert into skipped.t values (1); update skipped.t set id = 2');
    await caughtUp();
    await stop();
    assert.deepEqual(
      (await told('t')).map(({ op, key }) => [op, key]),
      [
        ['c', '{"id":1}'],
        ['c', '{"id":2}'],
      ],
    );
  });

  test('copies tables that are altered, renamed, truncated or dropped after its snapshot as they then are', async () => {
    await client.query(`
      create schema ddl;
      create table ddl.a (id int primary key, v text);
      create table ddl.b (id int primary key, v text);
      create table ddl.c (id int primary key, v text);
      create table ddl.d (id int primary key, v text);
      create table ddl.e (id int primary key, v text);
      create table ddl.f (id int primary key, v text);
      insert into ddl.a values (1, 'x'), (2, 'x');
      insert into ddl.b values (1, '5');
      insert into ddl.c values (1, 'x');
      insert into ddl.d values (1, 'x');
      insert into ddl.e values (1, 'x');
      insert into ddl.f values (1, 'x')`);
    const around = (source: ChangeSource) =>
      withChange(source, 'createSlot', async () => {
        await client.query(`
          alter table ddl.b alter v type int using v::int;
          alter table ddl.c rename to renamed;
          alter table ddl.d rename v to w;
          drop table ddl.e;
          truncate ddl.f`);
      });
    const { start, caughtUp, stop, told } = capture('ddl', {}, { around });
    await start();
    await caughtUp();
    await client.query('insert into ddl.b values (2, 6)');
    await caughtUp();
    await stop();
    const rows = async (table: string) =>
      (await told(table)).map(({ op, after: row }) => [op, row]);
    const copied = (row: unknown) => ['r', row];
    assert.deepEqual(
      await rows('a'),
      [
        { id: 1, v: 'x' },
        { id: 2, v: 'x' },
      ].map(copied),
    );
    assert.deepEqual(await rows('b'), [
      ['r', { id: 1, v: 5 }],
      ['c', { id: 2, v: 6 }],
    ]);
    assert.deepEqual(await rows('renamed'), [['r', { id: 1, v: 'x' }]]);
    assert.deepEqual(await rows('d'), [['r', { id: 1, w: 'x' }]]);
    assert.deepEqual(await rows('f'), [['t', null]]);
  });

  test('reads a chunk again when the table is rewritten between the snapshot and its rows', async () => {
    await client.query(`
      create schema chunks;
      create table chunks.t (id int primary key, v text);
      insert into chunks.t select i, '1' from generate_series(1, 10) i`);
    const alter = async () => {
      await client.query('alter table chunks.t alter v type int using v::int');
    };
    // The first slot's snapshot is lost, as in a crash, so that the copy goes on in chunks.
    const around = (source: ChangeSource) =>
      withChange(
        withChange(source, 'createSlot', async () => {
          throw new Error('a crash');
        }),
        'snapshot',
        alter,
      );
    const { start, caughtUp, stop, ended, told } = capture('chunks', {}, { around });
    await start();
    assert.match(String(await ended()), /a crash/);
    await start();
    await caughtUp();
    await stop();
    assert.deepEqual(
      (await told('t')).map(({ after: row }) => row?.['v']),
      Array.from({ length: 10 }, () => 1),
    );
  });

  test('copies from the start again when the order of the key changes between two chunks', async () => {
    await client.query(`
      create schema reordered;
      create table reordered.t (id int primary key);
      insert into reordered.t select generate_series(1, 10)`);
    const alter = async () => {
      await client.query('alter table reordered.t alter id type text');
    };
    const crash = async () => {
      throw new Error('a crash');
    };
    const { start, caughtUp, stop, ended, told } = capture(
      'reordered',
      { 'incremental.snapshot.chunk.size': '4' },
      {
        around: (source) =>
          withChange(withChange(source, 'createSlot', crash), 'snapshot', alter, 2),
      },
    );
    await start();
    assert.match(String(await ended()), /a crash/);
    await start();
    await caughtUp();
    await stop();
    const ids = (await told('t')).map(({ after: row }) => row?.['id']);
    assert.deepEqual(ids.slice(0, 4), [1, 2, 3, 4]);
    assert.deepEqual(ids.slice(4), ['1', '10', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  test('follows a table that is dropped and made anew under its name, when all tables are published', async () => {
    await client.query('create schema anew; create table anew.t (id int primary key, v text)');
    const { start, caughtUp, stop, told } = capture('anew', {
      'publication.autocreate.mode': 'all_tables',
    });
    await start();
    await caughtUp();
    await client.query(`
      insert into anew.t values (1, 'old');
      drop table anew.t;
      create table anew.t (name text primary key);
      insert into anew.t values ('new')`);
    await caughtUp();
    await stop();
    assert.deepEqual(
      (await told('t')).map(({ key, after: row }) => [key, row]),
      [
        ['{"id":1}', { id: 1, v: 'old' }],
        ['{"name":"new"}', { name: 'new' }],
      ],
    );
  });

  test('stops when its publication is dropped, and does not go on with a new one', async () => {
    await client.query('create schema lost; create table lost.t (id int primary key)');
    const { start, caughtUp, ended } = capture('lost');
    await start();
    await caughtUp();
    await client.query('drop publication lost; insert into lost.t values (1)');
    assert.equal(codeOf(await ended()), 'publication_missing');
    await start();
    assert.equal(codeOf(await ended()), 'publication_missing');
    // By hand: what was inserted meanwhile is still left out by the server.
    await client.query('create publication lost for table lost.t; insert into lost.t values (2)');
    await start();
    assert.equal(codeOf(await ended()), 'publication_missing');
  });

  test('fails, rather than wait for ever, when the stream is cut while a chunk waits for it', async () => {
    await client.query(`
      create schema cut;
      create table cut.t (id int primary key);
      insert into cut.t select generate_series(1, 10)`);
    let isCut = false;
    const around = (source: ChangeSource) =>
      withChange(source, 'createSlot', async () => {
        throw new Error('a crash');
      });
    const { start, caughtUp, stop, ended, told } = capture(
      'cut',
      {},
      {
        around: (source) =>
          new Proxy(around(source), {
            get(target, name): unknown {
              const value: unknown = Reflect.get(target, name, target);
              if (name !== 'walInsertLsn' || isCut)
                return typeof value === 'function' ? value.bind(target) : value;
              return async () => {
                isCut = true;
                await client.query(
                  `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'cut'`,
                );
                return parseLsn('FFFF/0');
              };
            },
          }),
      },
    );
    await start();
    assert.match(String(await ended()), /a crash/);
    await start();
    assert.equal(codeOf(await ended()), 'source_unreachable');
    await slotIsFree('cut');
    await start();
    await caughtUp();
    await stop();
    assert.equal((await told('t')).length, 10);
  });

  test('names what is wrong with its slot, and goes on after an interruption', async () => {
    await client.query('create schema slots; create table slots.t (id int primary key)');
    const drop = `select pg_drop_replication_slot('slots')`;
    await client.query(`select pg_create_logical_replication_slot('slots', 'pgoutput')`);
    const { start, caughtUp, ended, stop, told } = capture('slots');
    await start();
    assert.equal(codeOf(await ended()), 'slot_exists');
    await client.query(drop);
    await start();
    await caughtUp();
    const terminate = `select pg_terminate_backend(active_pid) from pg_replication_slots
      where slot_name = 'slots' and active`;
    await until(async () => (await client.query(terminate)).length > 0);
    assert.equal(codeOf(await ended()), 'source_unreachable');
    await client.query('insert into slots.t values (1)');
    await slotIsFree('slots');
    await start();
    await caughtUp();
    await stop();
    assert.deepEqual(
      (await told('t')).map(({ key }) => key),
      ['{"id":1}'],
    );
    await client.query(drop);
    await start();
    assert.equal(codeOf(await ended()), 'slot_missing');
  });

  test('refuses a server that writes no logical changes', async () => {
    await using other = await temporaryPostgres({ settings: { wal_level: 'replica' } });
    await using source = await PostgresSource.open(other);
    const log = new MemoryEventLog();
    const config = connectorConfig(other, { 'publication.autocreate.mode': 'all_tables' });
    await assert.rejects(connector(source, log, config).run(new AbortController().signal), {
      code: 'source_not_ready',
    });
  });

  test('rests while it is paused, and misses nothing', async () => {
    await client.query('create schema pauses; create table pauses.t (id int primary key)');
    const { start, caughtUp, stop, told, made } = capture('pauses');
    await start();
    await caughtUp();
    made().pause();
    await until(async () => made().status().state === 'paused');
    await client.query('insert into pauses.t values (1)');
    made().resume();
    await caughtUp();
    await stop();
    assert.equal((await told('t')).length, 1);
  });

  test('refuses tables that would share a topic', async () => {
    await client.query(`
      create schema "x.a"; create table "x.a".b (id int primary key);
      create schema x; create table x."a.b" (id int primary key)`);
    const { start, ended } = capture('x', { 'schema.include.list': 'x,x.a' });
    await client.query(`insert into x."a.b" values (1); insert into "x.a".b values (2)`);
    await start();
    assert.equal(codeOf(await ended()), 'topic_collision');
  });
});

/** Calls `change` once, right after the source has answered the nth such question. */
function withChange(
  source: ChangeSource,
  question: 'createSlot' | 'snapshot',
  change: () => Promise<void>,
  nth = 1,
): ChangeSource {
  let asked = 0;
  return new Proxy(source, {
    get(target, name): unknown {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== question) return value.bind(target);
      return async (...args: unknown[]) => {
        const answer: unknown = await Reflect.apply(value, target, args);
        asked += 1;
        if (asked === nth) await change();
        return answer;
      };
    },
  });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
